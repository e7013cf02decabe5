import { describe, expect, it } from 'vitest'
import type { ConnectionEvent } from '../../../../src/exporter/core/decode-connection-event.ts'
import { ConnectionTracker } from '../../../../src/monitor/core/connection-tracker.ts'
import { isSidecar } from '../../../../src/monitor/core/pod.ts'
import { SidecarTimes } from '../../../../src/monitor/core/sidecar.ts'
import { event, pod } from './scene.ts'

const caller = (step: ConnectionEvent['step'], atUs: number, socket: bigint): ConnectionEvent =>
  event(step, atUs, { of: 'proxy', socket, localPort: 15_006 })
const toService = (step: ConnectionEvent['step'], atUs: number, socket: bigint): ConnectionEvent =>
  event(step, atUs, {
    of: 'proxy',
    socket,
    localAddress: '127.0.0.1',
    remoteAddress: '127.0.0.1',
    remotePort: 8080,
  })

function timesOf(events: readonly ConnectionEvent[]): SidecarTimes {
  const [tracker, times] = [new ConnectionTracker(), new SidecarTimes()]
  for (const one of events) times.add(tracker.add(one, pod))
  return times
}

describe('time within a sidecar', () => {
  it('is from the caller to the own connect, then to the service', () => {
    const { inside, connect, reused } = timesOf([
      caller('accepted', 100, 1n),
      toService('connecting', 600, 2n),
      toService('connected', 640, 2n),
      caller('closed', 900, 1n),
    ])

    expect([inside.count, inside.sumSeconds, connect.count]).toEqual([1, 500e-6, 1])
    expect(connect.sumSeconds).toBeCloseTo(40e-6)
    expect(reused).toEqual({ caller: 0, service: 0 })
  })

  it('has the right sum when several callers wait', () => {
    const { inside } = timesOf([
      caller('accepted', 100, 1n),
      caller('accepted', 200, 2n),
      toService('connecting', 300, 3n),
      toService('connecting', 400, 4n),
    ])

    expect([inside.count, inside.sumSeconds]).toEqual([2, 400e-6])
  })

  it('counts what went over connections that were kept', () => {
    const { inside, reused } = timesOf([
      caller('accepted', 100, 1n),
      caller('closed', 200, 1n),
      toService('connecting', 300, 2n),
    ])

    expect([inside.count, reused]).toEqual([0, { caller: 1, service: 1 }])
  })
})

describe('a sidecar', () => {
  const rules = { names: ['istio-proxy'], images: ['istio/proxyv2', 'envoy'] }

  it.each([
    ['istio-proxy', 'whatever', true],
    ['proxy', 'docker.io/istio/proxyv2:1.20', true],
    ['proxy', 'registry:5000/istio/proxyv2@sha256:00', true],
    ['proxy', 'envoy:v1', true],
    ['proxy', 'docker.io/notistio/proxyv2x:1', false],
    ['web', 'docker.io/shop/my-envoy:1', false],
  ])('is known by name or image: %s, %s: %s', (name, image, expected) => {
    expect(isSidecar(rules, name, image)).toBe(expected)
  })
})
