import { describe, expect, test } from 'vitest'
import { electsLeader } from '../../../src/registrar/election.ts'

type Choice = Parameters<typeof electsLeader>[0]

const choice = (more: Partial<Choice> = {}): Choice => ({
  ...{ consulAddress: 'http://127.0.0.1:8500', consulBackend: 'agent', leaderElection: undefined },
  dryRun: false,
  ...more,
})
const catalog = { consulBackend: 'catalog' } as const

describe('whether replicas elect a leader', () => {
  test.each([
    ['an agent', choice(), false],
    [
      'an agent elsewhere, asked for',
      choice({ consulAddress: 'http://consul:8500', leaderElection: true }),
      true,
    ],
    ['the catalog', choice(catalog), true],
    [
      'the catalog, through an agent on this machine, asked for',
      choice({ ...catalog, leaderElection: true }),
      true,
    ],
    ['the catalog, asked not to', choice({ ...catalog, leaderElection: false }), false],
    ['the catalog, writing nothing', choice({ ...catalog, dryRun: true }), false],
    ['the embedded catalog', choice({ ...catalog, consulAddress: 'embedded' }), false],
  ])('with %s', (_, settings, expected) => {
    expect(electsLeader(settings)).toBe(expected)
  })

  test.each([
    ['an agent on this machine', choice({ leaderElection: true })],
    [
      'an agent on this machine by IPv6',
      choice({ consulAddress: 'http://[::1]:8500', leaderElection: true }),
    ],
    ['the embedded catalog', choice({ consulAddress: 'embedded', leaderElection: true })],
  ])('is an error with %s', (_, settings) => {
    expect(() => electsLeader(settings)).toThrow('LEADER_ELECTION: expected false with')
  })
})
