import { describe, expect, it } from 'vitest'
import type { ConnectionEvent } from '../../../../src/exporter/core/decode-connection-event.ts'
import { ConnectionTracker } from '../../../../src/exporter/core/sidecar/connection-tracker.ts'
import { connectionEvent, exchangeEvent, type ShownEvent } from '../../../../src/monitor/core/event-line.ts'
import { bucketQuantile, Quantiles } from '../../../../src/monitor/core/quantiles.ts'
import { event, exchange, plainPod } from './scene.ts'

const offsetMs = Date.UTC(2026, 0, 2, 3, 4, 5)

function shown(events: readonly ConnectionEvent[]): ShownEvent[] {
  const tracker = new ConnectionTracker()
  return events.map((one) => connectionEvent(tracker.add(one, plainPod), offsetMs))
}

describe('an event', () => {
  it('is a line, whatever happens to a connection', () => {
    const out = { remotePort: 5432, localPort: 50_000 }
    const lines = shown([
      event('connecting', 1_000, { ...out, localPort: 0, pid: 101 }),
      event('connected', 1_250, out),
      event('ending', 2_000, out),
      event('closed', 3_250, {
        ...out,
        localPort: 0,
        bytesReceived: 1_234,
        bytesSent: 5,
        retransmits: 2,
        error: 104,
      }),
      event('connecting', 4_000, out),
      event('failed', 5_000, { ...out, error: 111 }),
      event('closed', 6_000, { socket: 9n }),
    ]).map(({ line }) => line)

    expect(lines).toEqual([
      '03:04:05.001 tcp connecting  web 10.1.2.3:0 -> 10.9.9.9:5432 (pod to peer) process 101',
      '03:04:05.001 tcp connected   web 10.1.2.3:50000 -> 10.9.9.9:5432 (pod to peer) in 250µs',
      '03:04:05.002 tcp ending      web 10.1.2.3:50000 -> 10.9.9.9:5432 (pod to peer)',
      '03:04:05.003 tcp closed      web 10.1.2.3:50000 -> 10.9.9.9:5432 (pod to peer) after 2.00ms, received 1.23kB, sent 5B, 2 sent again, ECONNRESET',
      '03:04:05.004 tcp connecting  web 10.1.2.3:50000 -> 10.9.9.9:5432 (pod to peer)',
      '03:04:05.005 tcp failed      web 10.1.2.3:50000 -> 10.9.9.9:5432 (pod to peer): ECONNREFUSED',
      '03:04:05.006 tcp closed      web 10.1.2.3:8080 -> 10.9.9.9:40000 stood before, received 0B, sent 0B',
    ])
  })

  it('is an object for programs, with seconds and bytes', () => {
    const [, closed] = shown([event('accepted', 1_000), event('closed', 3_000, { bytesSent: 7 })])

    expect(closed?.json).toMatchObject({
      ...{ type: 'connection', event: 'closed', time: '2026-01-02T03:04:05.003Z', direction: 'inbound' },
      ...{ local: '10.1.2.3:8080', remote: '10.9.9.9:40000', container: 'web', seconds: 0.002, bytesSent: 7 },
    })
  })

  it('is a request with what it was and came to', () => {
    expect(exchangeEvent(exchange(1_500, { status: 503 }), 'web', offsetMs).line).toBe(
      '03:04:05.001 http served web GET /items/{number} 503 in 1.50ms, 0B in, 120B out',
    )
    const call = exchange(2_000, {
      ...{ side: 'client', authority: 'cart:50051', weight: 4 },
      grpc: { method: 'shop.Cart/Get', status: 'UNAVAILABLE' },
    })
    expect(exchangeEvent(call, 'web', offsetMs)).toMatchObject({
      line: '03:04:05.002 grpc made   web shop.Cart/Get to cart:50051 UNAVAILABLE in 2.00ms, 0B in, 120B out, stands for 4',
      json: {
        type: 'grpc',
        side: 'client',
        method: 'shop.Cart/Get',
        status: 'UNAVAILABLE',
        server: 'cart:50051',
      },
    })
  })

  it('cannot steer a terminal with what a peer sent', () => {
    const { line } = exchangeEvent(exchange(1, { method: 'GET\x1b[2J', route: '/\x07' }), 'web', offsetMs)

    expect(line).toContain('GET?[2J /?')
  })
})

describe('quantiles', () => {
  it('are right within a twentieth', () => {
    const times = new Quantiles()
    for (let n = 1; n <= 1_000; n += 1) times.add(n * 1_000)

    for (const [share, expected] of [
      [0.5, 500_000],
      [0.95, 950_000],
      [0.99, 990_000],
    ] as const)
      expect(Math.abs((times.at(share) ?? 0) / expected - 1)).toBeLessThan(0.06)
    expect(times.count).toBe(1_000)
    expect(new Quantiles().at(0.5)).toBeUndefined()
  })

  it('of buckets are evenly spread within a bucket, and never above the last bound', () => {
    expect(bucketQuantile(0.5, [1, 2, 4], [0, 10, 0, 0])).toBe(1.5)
    expect(bucketQuantile(0.99, [1, 2, 4], [0, 0, 0, 5])).toBe(4)
    expect(bucketQuantile(0.5, [1], [0, 0])).toBeUndefined()
  })
})
