import { describe, expect, it } from 'vitest'
import type { ConnectionEvent } from '../../../../../src/exporter/core/decode-connection-event.ts'
import { ConnectionTracker } from '../../../../../src/exporter/core/sidecar/connection-tracker.ts'
import { SidecarMatcher, type SidecarSign } from '../../../../../src/exporter/core/sidecar/matcher.ts'
import { ofCaller, pod, toService } from './scene.ts'

function signsOf(events: readonly ConnectionEvent[]): SidecarSign[] {
  const [tracker, matcher] = [new ConnectionTracker(), new SidecarMatcher()]
  return events.flatMap((one) => matcher.add(tracker.add(one, pod)) ?? [])
}

const sumOf = (signs: readonly SidecarSign[]): number =>
  signs.reduce((sum, sign) => sum + ('ns' in sign ? sign.ns : 0), 0)

describe('time within a sidecar', () => {
  it('is from the caller to the own connect, then to the service', () => {
    expect(
      signsOf([
        ofCaller('accepted', 100, 1n),
        toService('connecting', 600, 2n),
        toService('connected', 640, 2n),
        ofCaller('closed', 900, 1n),
      ]),
    ).toEqual([
      { what: 'inside', ns: 500_000 },
      { what: 'connect', ns: 40_000 },
    ])
  })

  it('has the right sum when several callers wait', () => {
    const signs = signsOf([
      ofCaller('accepted', 100, 1n),
      ofCaller('accepted', 200, 2n),
      toService('connecting', 300, 3n),
      toService('connecting', 400, 4n),
    ])

    expect([signs.length, sumOf(signs)]).toEqual([2, 400_000])
  })

  it('counts what went over connections that were kept', () => {
    expect(
      signsOf([ofCaller('accepted', 100, 1n), ofCaller('closed', 200, 1n), toService('connecting', 300, 2n)]),
    ).toEqual([{ reused: 'caller' }, { reused: 'service' }])
  })

  it('is not that of a caller who is served over a connection that was kept', () => {
    expect(
      signsOf([
        ofCaller('accepted', 100, 1n),
        ofCaller('accepted', 5_000_000, 2n),
        toService('connecting', 5_000_300, 3n),
        toService('connecting', 20_000_000, 4n),
        ofCaller('closed', 20_000_100, 1n),
      ]),
    ).toEqual([{ what: 'inside', ns: 300_000 }, { reused: 'service' }, { reused: 'caller' }])
  })

  it('follows a bounded number of callers, and the latest of them', () => {
    const callers = Array.from({ length: 25_000 }, (_, n) => ofCaller('accepted', n, BigInt(n)))
    const connects = Array.from({ length: 10_001 }, (_, n) =>
      toService('connecting', 25_000, BigInt(30_000 + n)),
    )
    const signs = signsOf([...callers, ...connects])

    expect(signs[0]).toEqual({ what: 'inside', ns: 1_000 })
    expect(signs.filter((sign) => 'what' in sign)).toHaveLength(10_000)
    expect(signs.at(-1)).toEqual({ reused: 'service' })
  })
})
