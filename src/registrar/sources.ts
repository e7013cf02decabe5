import type { Logger } from '../common/logger.ts'
import type { RegistrarConfig } from '../config/registrar-settings.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { ListAndWatch } from '../kubernetes/list-and-watch.ts'
import { MergedSource } from '../kubernetes/merged-source.ts'
import type { NodeRecord, PodRecord, ServiceObjectRecord } from '../kubernetes/records.ts'
import { nodes, pods, services } from '../kubernetes/resource.ts'
import type { Source } from '../kubernetes/source.ts'

/** Starts to follow the pods that the settings select, of all namespaces or of each that is named. */
export function followPods(
  config: RegistrarConfig,
  client: KubernetesClient,
  log: Logger,
): Source<PodRecord> {
  const { podSelector, namespaces } = config
  const common = { client, log, ...paces(config) }
  const follow = (namespace?: string): Source<PodRecord> =>
    ListAndWatch.start({ ...common, resource: pods, namespace, labelSelector: podSelector })
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
  const common = { client, log, ...paces(config) }
  return ListAndWatch.start({ ...common, resource: nodes, labelSelector: config.nodeSelector })
}

function paces({ syncPeriodSeconds, watchSilenceSeconds }: RegistrarConfig): {
  readonly pollMs: number
  readonly silenceMs: number
} {
  return { pollMs: syncPeriodSeconds * 1000, silenceMs: watchSilenceSeconds * 1000 }
}

/** Starts to follow the services of Kubernetes, for PEER_INFO: its role has to allow it. */
export function followServices(
  config: RegistrarConfig,
  client: KubernetesClient,
  log: Logger,
): Source<ServiceObjectRecord> {
  return ListAndWatch.start({
    ...{ client, log },
    resource: services,
    pollMs: config.syncPeriodSeconds * 1000,
  })
}
