/** Who is at the other end: one row per address of a pod, a service and a node. Pure. */
import type { NodeRecord, PodRecord, ServiceObjectRecord } from '../../kubernetes/records.ts'
import { workloadOf } from './workload.ts'

/** The labels of one series of podsonar_peer_info. */
export interface Peer {
  readonly remote_addr: string
  readonly kind: 'pod' | 'service' | 'node'
  /** Empty for nodes. */
  readonly namespace: string
  readonly name: string
  /** The name of the Deployment and the like of a pod; empty for others. */
  readonly workload: string
}

/**
 * The pods, services and nodes by address, each under all that it has. Pods of the host's network have their node's address, and finished ones none
 * that is theirs: both are left out. Where two claim an address for a moment the later one has it.
 */
export function peers(
  pods: Iterable<PodRecord>,
  services: Iterable<ServiceObjectRecord>,
  nodes: Iterable<NodeRecord>,
): Peer[] {
  const byAddress = new Map<string, Peer>()
  for (const pod of pods) {
    const { ip, otherIps, hostNetwork, phase, namespace, name } = pod
    if (ip === undefined || hostNetwork || phase === 'Succeeded' || phase === 'Failed') continue
    const workload = workloadOf(pod)?.name ?? ''
    for (const remote_addr of [ip, ...otherIps])
      byAddress.set(remote_addr, { remote_addr, kind: 'pod', namespace, name, workload })
  }
  for (const { clusterIps, namespace, name } of services) {
    for (const ip of clusterIps)
      byAddress.set(ip, { remote_addr: ip, kind: 'service', namespace, name, workload: '' })
  }
  for (const { internalIps, name } of nodes) {
    for (const ip of internalIps)
      byAddress.set(ip, { remote_addr: ip, kind: 'node', namespace: '', name, workload: '' })
  }
  return [...byAddress.values()]
}
