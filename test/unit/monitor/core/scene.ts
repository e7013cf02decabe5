/** A pod with a sidecar, and what happens to its connections, for the tests of this folder. */
import type { Exchange } from '../../../../src/exporter/core/requests/exchange.ts'
import type { MonitoredPod } from '../../../../src/monitor/core/pod.ts'
import { pod as connected, proxyCgroup, webCgroup } from '../../exporter/core/sidecar/scene.ts'

export { event } from '../../exporter/core/sidecar/scene.ts'

export const pod: MonitoredPod = {
  ...{ node: 'node-1', runtime: 'containerd 1.6.20', namespace: 'shop', name: 'web-0', uid: 'u-1', pid: 100 },
  ...connected,
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
