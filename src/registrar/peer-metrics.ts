import { Family, renderLabels } from '../common/exposition.ts'
import { TimeSlice } from '../common/time-slice.ts'
import type { NodeRecord, PodRecord, ServiceObjectRecord } from '../kubernetes/records.ts'
import type { Source } from '../kubernetes/source.ts'
import { peers, type Peer } from './core/peer-info.ts'

export const peerInfoName = 'podsonar_peer_info'
export const peerInfoHelp =
  'Who has an address of the cluster; always 1. To be joined with pod_connect_info on remote_addr.'
export const peerInfoLabels = ['remote_addr', 'kind', 'namespace', 'name', 'workload'] as const

export interface PeerSources {
  readonly pods: Source<PodRecord>
  readonly nodes: Source<NodeRecord>
  readonly services: Source<ServiceObjectRecord>
}

/** The text of podsonar_peer_info. */
export async function peerMetrics({ pods, nodes, services }: PeerSources): Promise<string> {
  const family = new Family(peerInfoName, 'gauge', peerInfoHelp)
  const rows = peers(pods.objects.values(), services.objects.values(), nodes.objects.values())
  const slice = new TimeSlice()
  for (const peer of rows) {
    family.add(renderLabels(labels(peer)), 1)
    if (slice.over) await slice.next()
  }
  return family.render('prometheus')
}

function labels({ remote_addr, kind, namespace, name, workload }: Peer): Record<string, string> {
  return { remote_addr, kind, namespace, name, workload }
}
