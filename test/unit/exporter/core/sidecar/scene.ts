/** A pod with a sidecar, and what happens to its connections. */
import type {
  ConnectionEvent,
  ConnectionStep,
} from '../../../../../src/exporter/core/decode-connection-event.ts'
import type { ConnectedPod } from '../../../../../src/exporter/core/sidecar/pod.ts'

export const [webCgroup, proxyCgroup] = [11, 22] as const

export const pod: ConnectedPod = {
  ...{ addresses: ['10.1.2.3', 'fd00::3'], networkNamespace: 4_026_532_000 },
  containers: [
    { name: 'web', cgroupIds: [webCgroup], isSidecar: false },
    { name: 'istio-proxy', cgroupIds: [proxyCgroup], isSidecar: true },
  ],
}
export const plainPod: ConnectedPod = { ...pod, containers: pod.containers.slice(0, 1) }

type Given = Partial<ConnectionEvent> & { readonly of?: 'web' | 'proxy' }

/** An event of a connection; times in microseconds. */
export function event(step: ConnectionStep, atUs: number, given: Given = {}): ConnectionEvent {
  const { of = 'web', ...fields } = given
  return {
    ...{ step, atNs: atUs * 1_000, socket: 1n, namespace: pod.networkNamespace, pid: 0 },
    cgroupId: of === 'web' ? webCgroup : proxyCgroup,
    ...{ localAddress: '10.1.2.3', localPort: 8080, remoteAddress: '10.9.9.9', remotePort: 40_000 },
    ...{ bytesReceived: 0, bytesSent: 0, retransmits: 0, rttNs: 0, error: 0 },
    ...fields,
  }
}

/** Of a connection from a caller to the sidecar. */
export function ofCaller(
  step: ConnectionStep,
  atUs: number,
  socket: bigint,
  given: Given = {},
): ConnectionEvent {
  return event(step, atUs, { of: 'proxy', socket, localPort: 15_006, ...given })
}

/** Of the sidecar's end of a connection to the service. */
export function toService(
  step: ConnectionStep,
  atUs: number,
  socket: bigint,
  given: Given = {},
): ConnectionEvent {
  const loopback = { localAddress: '127.0.0.1', remoteAddress: '127.0.0.1', remotePort: 8080 }
  return event(step, atUs, { of: 'proxy', socket, ...loopback, ...given })
}
