/** A pod with a sidecar, and what happens to its connections, for the tests of this folder. */
import type {
  ConnectionEvent,
  ConnectionStep,
} from '../../../../src/exporter/core/decode-connection-event.ts'
import type { Exchange } from '../../../../src/exporter/core/requests/exchange.ts'
import type { MonitoredPod } from '../../../../src/monitor/core/pod.ts'

const [webCgroup, proxyCgroup] = [11, 22]

export const pod: MonitoredPod = {
  ...{ node: 'node-1', runtime: 'containerd 1.6.20', namespace: 'shop', name: 'web-0', uid: 'u-1' },
  ...{ addresses: ['10.1.2.3', 'fd00::3'], networkNamespace: 4_026_532_000, pid: 100 },
  containers: [
    { name: 'web', image: 'docker.io/shop/web:1', pid: 101, cgroupIds: [webCgroup], isSidecar: false },
    {
      name: 'istio-proxy',
      image: 'docker.io/istio/proxyv2:1.20',
      pid: 102,
      cgroupIds: [proxyCgroup],
      isSidecar: true,
    },
  ],
}
export const plainPod: MonitoredPod = { ...pod, containers: pod.containers.slice(0, 1) }

/** An event of a connection; times in microseconds. */
export function event(
  step: ConnectionStep,
  atUs: number,
  given: Partial<ConnectionEvent> & { readonly of?: 'web' | 'proxy' } = {},
): ConnectionEvent {
  const { of = 'web', ...fields } = given
  return {
    ...{ step, atNs: atUs * 1_000, socket: 1n, namespace: pod.networkNamespace, pid: 0 },
    cgroupId: of === 'web' ? webCgroup : proxyCgroup,
    ...{ localAddress: '10.1.2.3', localPort: 8080, remoteAddress: '10.9.9.9', remotePort: 40_000 },
    ...{ bytesReceived: 0, bytesSent: 0, retransmits: 0, rttNs: 0, error: 0 },
    ...fields,
  }
}

/** A request that was served in `us` microseconds. */
export function exchange(us: number, given: Partial<Exchange> = {}): Exchange {
  return {
    ...{ side: 'server', version: '1.1', method: 'GET', route: '/items/{number}', scheme: 'http' },
    ...{ authority: undefined, status: 200, grpc: undefined, traceparent: undefined },
    ...{
      startNs: 0,
      firstByteNs: us * 900,
      endNs: us * 1_000,
      requestBytes: 0,
      responseBytes: 120,
      weight: 1,
    },
    ...given,
  }
}
