import { describe, expect, it } from 'vitest'
import type { ConnectionEvent } from '../../../../src/exporter/core/decode-connection-event.ts'
import { partsOf, serviceOf } from '../../../../src/monitor/core/connection-spans.ts'
import {
  ConnectionTracker,
  type Connection,
} from '../../../../src/exporter/core/sidecar/connection-tracker.ts'
import { event, plainPod } from './scene.ts'

function after(events: readonly ConnectionEvent[]): Connection {
  const tracker = new ConnectionTracker()
  const changes = events.map((one) => tracker.add(one, plainPod))
  const last = changes.at(-1)
  if (last === undefined) throw new Error('no event')
  return last.connection
}
const names = (connection: Connection): string[] =>
  partsOf(connection).map(({ name, from, to }) => `${name} ${from / 1_000}-${to / 1_000}`)

describe('spans of connections', () => {
  it('has establishment, transfer and termination', () => {
    const connection = after([
      event('connecting', 10),
      event('connected', 20),
      event('ending', 50),
      event('closed', 60),
    ])

    expect(names(connection)).toEqual([
      ...['Connection Establishment 10-20', 'Data Transfer 20-50', 'Connection Termination 50-60'],
    ])
    expect(serviceOf('web-0', connection)).toBe('web-0-out')
  })

  it('has only an establishment when nobody answered', () => {
    expect(names(after([event('connecting', 10), event('failed', 40, { error: 111 })]))).toEqual([
      'Connection Establishment 10-40',
    ])
  })

  it('has no termination when it was reset', () => {
    const connection = after([event('accepted', 10, { rttNs: 2_000 }), event('closed', 40, { error: 104 })])

    expect(names(connection)).toEqual(['Connection Establishment 8-10', 'Data Transfer 10-40'])
    expect(serviceOf('web-0', connection)).toBe('web-0-in')
  })

  it.each([
    ['only its end was seen', [event('closed', 40)], []],
    [
      'it ended from the middle',
      [event('peer_ending', 30), event('closed', 40)],
      ['Connection Termination 30-40'],
    ],
    ['its connect was not seen', [event('connected', 30), event('closed', 40)], ['Data Transfer 30-40']],
  ])('has what was seen when %s', (_what, events, expected) => {
    expect(names(after(events))).toEqual(expected)
  })
})
