import { describe, expect, it } from 'vitest'
import { ConnectionTracker } from '../../../../../src/exporter/core/sidecar/connection-tracker.ts'
import { event, plainPod, pod } from './scene.ts'

const loopback = { localAddress: '127.0.0.1', remoteAddress: '127.0.0.1' }

describe('connections from what happens to sockets', () => {
  it('has each part of an outbound connection, its process and its port', () => {
    const tracker = new ConnectionTracker()
    const out = { remotePort: 5432, socket: 7n }
    tracker.add(event('connecting', 10, { ...out, localPort: 0, pid: 101 }), plainPod)
    tracker.add(event('connected', 40, { ...out, localPort: 50_000, rttNs: 25_000 }), plainPod)
    tracker.add(event('ending', 100, { ...out, localPort: 50_000 }), plainPod)
    const { connection } = tracker.add(
      event('closed', 130, { ...out, localPort: 0, bytesReceived: 9, bytesSent: 8, retransmits: 1 }),
      plainPod,
    )

    expect(connection).toMatchObject({
      ...{ direction: 'outbound', leg: 'pod to peer', container: 'web', pid: 101, localPort: 50_000 },
      ...{ beganNs: 10_000, stoodNs: 40_000, endingNs: 100_000, closedNs: 130_000, endedBy: 'pod' },
      ...{ bytesReceived: 9, bytesSent: 8, retransmits: 1, rttNs: 25_000 },
    })
    expect(tracker.states()).toEqual({ opening: 0, open: 0, ending: 0 })
  })

  it('takes the round trip before the acceptance for the establishment of an inbound one', () => {
    const { connection } = new ConnectionTracker().add(event('accepted', 100, { rttNs: 30_000 }), plainPod)

    expect(connection).toMatchObject({
      direction: 'inbound',
      leg: 'caller to pod',
      beganNs: 70_000,
      stoodNs: 100_000,
    })
  })

  it('knows who ended it first', () => {
    const tracker = new ConnectionTracker()
    tracker.add(event('accepted', 1), plainPod)
    tracker.add(event('peer_ending', 2), plainPod)

    const { connection } = tracker.add(event('ending', 3), plainPod)

    expect(connection).toMatchObject({ endedBy: 'peer', endingNs: 2_000 })
    expect(tracker.states()).toEqual({ opening: 0, open: 0, ending: 1 })
  })

  it('tells what it can of a connection that stood before', () => {
    const { connection } = new ConnectionTracker().add(event('closed', 9, { bytesSent: 5 }), plainPod)

    expect(connection).toMatchObject({
      ...{ direction: undefined, leg: undefined, beganNs: undefined, stoodNs: undefined },
      ...{ seenNs: 9_000, closedNs: 9_000, bytesSent: 5 },
    })
  })

  it('does not take one socket for another that had its address before', () => {
    const tracker = new ConnectionTracker()
    tracker.add(event('accepted', 1, { bytesReceived: 4 }), plainPod)

    const { connection } = tracker.add(event('connecting', 5, { localPort: 0 }), plainPod)

    expect(connection).toMatchObject({ direction: 'outbound', stoodNs: undefined, seenNs: 5_000 })
  })

  it('tells a connect that failed from one that stood', () => {
    const tracker = new ConnectionTracker()
    tracker.add(event('connecting', 1), plainPod)

    const { connection } = tracker.add(event('failed', 2, { error: 111 }), plainPod)

    expect(connection).toMatchObject({ stoodNs: undefined, closedNs: 2_000, error: 111 })
  })

  it('names the legs of a pod with a sidecar', () => {
    const tracker = new ConnectionTracker()
    const legOf = (...given: Parameters<typeof event>): string | undefined =>
      tracker.add(event(...given), pod).connection.leg

    expect([
      legOf('accepted', 1, { of: 'proxy' }),
      legOf('connecting', 1, { of: 'proxy', ...loopback }),
      legOf('accepted', 1, { of: 'web', ...loopback }),
      legOf('connecting', 1, { of: 'web', remoteAddress: '10.1.2.3' }),
      legOf('accepted', 1, { of: 'proxy', remoteAddress: 'fd00::3' }),
      legOf('connecting', 1, { of: 'proxy' }),
      legOf('connecting', 1, { of: 'web' }),
      legOf('accepted', 1, { of: 'web' }),
    ]).toEqual([
      ...['caller to sidecar', 'sidecar to service', 'sidecar to service', 'service to sidecar'],
      ...['service to sidecar', 'sidecar to peer', 'service to peer', 'caller to service'],
    ])
  })
})
