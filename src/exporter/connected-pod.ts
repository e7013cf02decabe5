/** A pod as the connections in its network namespace are understood by: its addresses, whose sockets, which sidecar. */
import type { Cgroupfs } from './cgroupfs.ts'
import type { Container, NetworkNamespace } from './core/containers.ts'
import {
  isSidecar,
  type ConnectedContainer,
  type ConnectedPod,
  type SidecarRules,
} from './core/sidecar/pod.ts'
import { addressesOf } from './pod-addresses.ts'
import type { Procfs } from './procfs.ts'

export interface ConnectedPodParts {
  readonly procfs: Procfs
  readonly cgroupfs: Cgroupfs
  readonly sidecars: SidecarRules
}

/**
 * @param pid a process in the namespace
 * @throws what reading /proc throws for a process that is gone
 */
export function connectedPod(
  { inode, containers }: NetworkNamespace,
  pid: number,
  parts: ConnectedPodParts,
): ConnectedPod {
  return {
    networkNamespace: inode,
    addresses: addressesOf(parts.procfs, pid),
    containers: containers.map((container) => connectedContainer(container, parts)),
  }
}

export function connectedContainer(
  { name, image, cgroupId, cgroups }: Container,
  { cgroupfs, sidecars }: Omit<ConnectedPodParts, 'procfs'>,
): ConnectedContainer {
  return {
    name,
    cgroupIds: cgroupId === 0 ? [] : [cgroupId, ...cgroupfs.idsBelow(cgroups)],
    isSidecar: isSidecar(sidecars, name, image),
  }
}
