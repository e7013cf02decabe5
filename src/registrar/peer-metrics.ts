import { Family, renderLabels } from '../common/exposition.ts'
import type { NodeRecord, PodRecord, ServiceObjectRecord } from '../kubernetes/records.ts'
import type { Source } from '../kubernetes/source.ts'
import { peers, type Peer } from './core/peer-info.ts'
import { yieldToLoop } from './yield.ts'

export const peerInfoName = 'podsonar_peer_info'
export const peerInfoHelp =
  'Who has an address of the cluster; always 1. To be joined with pod_connect_info on remote_addr.'
export const peerInfoLabels = ['remote_addr', 'kind', 'namespace', 'name', 'workload'] as const

const chunk = 2_000

export interface PeerSources {
  readonly pods: Source<PodRecord>
  readonly nodes: Source<NodeRecord>
  readonly services: Source<ServiceObjectRecord>
}

/** The text of podsonar_peer_info. */
export async function peerMetrics({ pods, nodes, services }: PeerSources): Promise<string> {
  const family = new Family(peerInfoName, 'gauge', peerInfoHelp)
  const rows = peers(pods.objects.values(), services.objects.values(), nodes.objects.values())
  for (const [index, peer] of rows.entries()) {
    family.add(renderLabels(labels(peer)), 1)
    if (index % chunk === chunk - 1) await yieldToLoop()
  }
  return family.render('prometheus')
}

function labels({ remote_addr, kind, namespace, name, workload }: Peer): Record<string, string> {
  return { remote_addr, kind, namespace, name, workload }
}
