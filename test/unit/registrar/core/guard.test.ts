import { describe, expect, it } from 'vitest'
import { Guard, type Evidence } from '../../../../src/registrar/core/guard.ts'

const ids = (count: number) => Array.from({ length: count }, (_, index) => `pod--a--${index}`)
const evidence = (changes: Partial<Evidence> = {}): Evidence => ({
  doubt: undefined,
  nodes: 3,
  listedAt: { pod: 0, node: 0 },
  ...changes,
})
const minute = 60_000
const listed = (at: number) => evidence({ listedAt: { pod: at, node: at } })
const delay = () => new Guard({ mode: 'delay', maxPercent: 50 })

describe('removals go', () => {
  it('when they are few, whatever their share', () => {
    expect(delay().judge('pod', ids(10), 10, evidence())).toEqual({ allowed: true })
  })

  it('when their share is small', () => {
    expect(delay().judge('pod', ids(50), 100, evidence())).toEqual({ allowed: true })
  })
})

describe('removals are held', () => {
  it('when they are many and more than the share', () => {
    expect(delay().judge('pod', ids(51), 100, evidence())).toEqual({
      allowed: false,
      reason:
        '51 of 100 pods would be removed, which is more than 50 %, until a list read 5 minutes later agrees',
    })
  })

  it('with any share when a list is in doubt', () => {
    const doubt = 'pods: forbidden'
    expect(delay().judge('pod', ids(1), 100, evidence({ doubt }))).toEqual({ allowed: false, reason: doubt })
  })

  it('for nodes when there would be none, for ever', () => {
    const guard = delay()
    for (const at of [0, 6 * minute, 60 * minute]) {
      expect(guard.judge('node', ['node--1'], 1, { ...listed(at), nodes: 0 }).allowed).toBe(false)
    }
    expect(guard.judge('pod', ids(1), 1, { ...listed(0), nodes: 0 }).allowed).toBe(true)
  })

  it('kind by kind', () => {
    const guard = delay()
    expect(guard.judge('pod', ids(20), 1000, evidence()).allowed).toBe(true)
    expect(guard.judge('node', ids(20), 20, evidence()).allowed).toBe(false)
  })
})

describe('held removals', () => {
  it('go when a list read 5 minutes after the first agrees', () => {
    const guard = delay()
    expect(guard.judge('pod', ids(60), 100, listed(0)).allowed).toBe(false)
    expect(guard.judge('pod', ids(60), 100, listed(0)).allowed).toBe(false)
    expect(guard.judge('pod', ids(60), 100, listed(5 * minute - 1)).allowed).toBe(false)
    expect(guard.judge('pod', ids(60), 100, listed(5 * minute)).allowed).toBe(true)
  })

  it('wait anew for those that joined later', () => {
    const guard = delay()
    guard.judge('pod', ids(60), 100, listed(0))
    expect(guard.judge('pod', ids(61), 100, listed(5 * minute)).allowed).toBe(false)
    expect(guard.judge('pod', ids(61), 100, listed(10 * minute)).allowed).toBe(true)
  })

  it('are forgotten when what was missing came back', () => {
    const guard = delay()
    guard.judge('pod', ids(60), 100, listed(0))
    guard.judge('pod', [], 100, listed(minute))
    expect(guard.judge('pod', ids(60), 100, listed(5 * minute)).allowed).toBe(false)
  })

  it('never go by themselves where the mode is hold', () => {
    const guard = new Guard({ mode: 'hold', maxPercent: 50 })
    guard.judge('pod', ids(60), 100, listed(0))
    expect(guard.judge('pod', ids(60), 100, listed(60 * minute)).allowed).toBe(false)
  })
})
