/** Pods with a sidecar before their web server. */
import { fileURLToPath } from 'node:url'
import type { Containerd, LabPod } from '../../lab/containerd.ts'

const support = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const mounts = {
  ...{ '/usr': '/usr', '/node': process.execPath },
  ...{ '/server.ts': support('node-http-server.ts'), '/proxy.ts': support('sidecar-proxy.ts') },
}
/** Where the sidecar listens. */
export const sidecarPort = 15_006

export interface SidecarOptions {
  /** Of the pod. @default web-0 */
  readonly pod?: string
  /** Of the sidecar's container. @default istio-proxy */
  readonly name?: string
  /** Whether it keeps its connection to the service. @default false */
  readonly keep?: boolean
  readonly annotations?: Readonly<Record<string, string>>
}

export function runWithSidecar(containerd: Containerd, options: SidecarOptions = {}): Promise<LabPod> {
  const { pod = 'web-0', name = 'istio-proxy', keep = false, annotations = {} } = options
  return containerd.runPod({
    ...{ name: pod, namespace: 'shop', labels: { app: 'web' }, annotations },
    containers: [
      { name: 'web', command: ['/node', '/server.ts', '0.0.0.0', '8080'], mounts },
      { name, command: ['/node', '/proxy.ts', ...(keep ? ['keep'] : [])], mounts },
    ],
  })
}

/** Starts watched pods with sidecars, one of which keeps its connection, and one that asks them all the time. */
export async function runSidecarPods(containerd: Containerd): Promise<void> {
  const annotations = { 'podsonar.io/observe': 'true' }
  const urls = await Promise.all(
    [false, true].map(async (keep) => {
      const { ip } = await runWithSidecar(containerd, {
        pod: keep ? 'kept-0' : 'meshed-0',
        keep,
        annotations,
      })
      return `http://${ip}:${sidecarPort}/`
    }),
  )
  const asks = urls.map((url) => `wget -q -O /dev/null ${url}`).join('; ')
  await containerd.runPod({
    ...{ name: 'mesh-caller-0', namespace: 'shop' },
    command: ['sh', '-c', `while :; do ${asks}; sleep 1; done`],
  })
}
