import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  claimLease,
  observe,
  parseLease,
  releaseLease,
  takeableAt,
} from '../../../src/kubernetes/lease-record.ts'
import { Term } from '../../../src/kubernetes/term.ts'
import { recorded } from './recorded.ts'

const lease = (holder: string | undefined, resourceVersion = '1', renewTime = 'x') => ({
  ...{ holder, resourceVersion, renewTime, durationMs: 15_000, acquireTime: 'y', transitions: 3 },
})
const claim = { namespace: 'n', name: 'l', identity: 'b', durationMs: 15_000, now: new Date(0) }

describe('a lease', () => {
  test('is read as the API server sends it', async () => {
    const time = '2026-11-20T08:00:00.000000Z'
    expect(parseLease(JSON.parse(await recorded('lease-created.json')))).toEqual({
      ...{ resourceVersion: '428', holder: 'a', durationMs: 15_000, transitions: 0 },
      ...{ acquireTime: time, renewTime: time },
    })
  })

  test('may be taken when it has stood still for its duration since we first saw it so', () => {
    const first = observe(undefined, lease('a'), 1_000)
    expect(takeableAt(first, 'b')).toBe(16_000)
    expect(observe(first, lease('a'), 9_000)).toBe(first)
    const renewed = observe(first, lease('a', '2', 'z'), 9_000)
    expect(takeableAt(renewed, 'b')).toBe(24_000)
  })

  test('may be taken at once when it was given up, or is ours', () => {
    expect(takeableAt(observe(undefined, lease(undefined), 1_000), 'b')).toBe(Number.NEGATIVE_INFINITY)
    expect(takeableAt(observe(undefined, lease('b'), 1_000), 'b')).toBe(Number.NEGATIVE_INFINITY)
  })

  test('counts how often it changed hands, and keeps since when', () => {
    const spec = (previous: Parameters<typeof claimLease>[0]) =>
      (claimLease(previous, claim) as { spec: Record<string, unknown>; metadata: object }).spec
    const now = '1970-01-01T00:00:00.000000Z'
    expect(spec(undefined)).toEqual({
      ...{ holderIdentity: 'b', leaseDurationSeconds: 15, acquireTime: now, renewTime: now },
      leaseTransitions: 0,
    })
    expect(spec(lease('a'))).toMatchObject({ acquireTime: now, leaseTransitions: 4 })
    expect(spec(lease('b'))).toMatchObject({ acquireTime: 'y', renewTime: now, leaseTransitions: 3 })
  })

  test('is written with the version that was read, so that only one of two can take it', () => {
    expect(claimLease(lease('a', '7'), claim)).toMatchObject({ metadata: { resourceVersion: '7' } })
    expect(releaseLease(lease('b', '8'), 'n', 'l', new Date(0))).toMatchObject({
      metadata: { namespace: 'n', name: 'l', resourceVersion: '8' },
      spec: { holderIdentity: '', leaseDurationSeconds: 1 },
    })
  })
})

describe('Term', () => {
  afterEach(() => vi.useRealTimers())
  const begun = (ticksAgo: number, wallAgo: number) => ({
    ticks: performance.now() - ticksAgo,
    wall: Date.now() - wallAgo,
  })

  test('lasts by whichever clock took longer', () => {
    expect(new Term(1_000, begun(500, 500)).check()?.aborted).toBe(false)
    expect(new Term(1_000, begun(500, 1_500)).check()).toBeUndefined()
    expect(new Term(1_000, begun(1_500, 500)).check()).toBeUndefined()
    // A clock that was set back makes it no longer.
    expect(new Term(1_000, begun(1_500, -60_000)).check()).toBeUndefined()
  })

  test('ends at a look, though its timer is late, and tells once', () => {
    vi.useFakeTimers({ toFake: ['performance', 'Date'] })
    const term = new Term(60_000, begun(59_995, 0))
    let told = 0
    const signal = term.check()
    term.start(() => (told += 1))
    vi.advanceTimersByTime(10)
    expect(told).toBe(0)
    expect(term.check()).toBeUndefined()
    expect(signal?.aborted).toBe(true)
    expect(told).toBe(1)
    term.end()
    expect(told).toBe(1)
  })
})
