import type { Logger } from '../common/logger.ts'
import type { RegistrarConfig } from '../config/registrar-settings.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { ListAndWatch } from '../kubernetes/list-and-watch.ts'
import { MergedSource } from '../kubernetes/merged-source.ts'
import type { NodeRecord, PodRecord } from '../kubernetes/records.ts'
import { nodes, pods } from '../kubernetes/resource.ts'
import type { Source } from '../kubernetes/source.ts'

/** Starts to follow the pods that the settings select, of all namespaces or of each that is named. */
export function followPods(
  config: RegistrarConfig,
  client: KubernetesClient,
  log: Logger,
): Source<PodRecord> {
  const { podSelector, namespaces, syncPeriodSeconds } = config
  const pollMs = syncPeriodSeconds * 1000
  const follow = (namespace?: string): Source<PodRecord> =>
    ListAndWatch.start({ client, resource: pods, namespace, labelSelector: podSelector, log, pollMs })
  const distinct = [...new Set(namespaces)]
  if (distinct.length === 0) return follow()
  return new MergedSource(pods.plural, distinct.map(follow), ({ uid }) => uid)
}

/** Starts to follow the nodes that the settings select. */
export function followNodes(
  config: RegistrarConfig,
  client: KubernetesClient,
  log: Logger,
): Source<NodeRecord> {
  const { nodeSelector, syncPeriodSeconds } = config
  return ListAndWatch.start({
    ...{ client, log },
    resource: nodes,
    labelSelector: nodeSelector,
    pollMs: syncPeriodSeconds * 1000,
  })
}
