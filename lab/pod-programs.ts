/** Containers for pods of the lab that run Node.js programs of this repository. */
import { fileURLToPath } from 'node:url'
import type { ContainerSpec } from './containerd.ts'
import type { SocketPlan } from './pod-sockets.ts'

const podSockets = fileURLToPath(new URL('pod-sockets.ts', import.meta.url))

/** A container that holds sockets: see pod-sockets.ts. It runs this very Node.js on the host's libraries. */
export function socketContainer(name: string, plan: SocketPlan): ContainerSpec {
  return {
    name,
    command: ['/node', '/pod-sockets.ts', JSON.stringify(plan)],
    mounts: { '/usr': '/usr', '/node': process.execPath, '/pod-sockets.ts': podSockets },
  }
}
