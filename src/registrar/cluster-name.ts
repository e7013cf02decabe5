import { SettingsError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import { isLoopback } from './consul/connect.ts'
import type { ConsulHttp } from './consul/http.ts'

/** What an unset CLUSTER_NAME stands for beside an agent of our own. */
const defaultClusterName = 'default-cluster'

/**
 * The name of this cluster. It is the mark of ownership, so there is a default only where Consul is not shared: beside
 * an agent on this machine.
 *
 * @throws SettingsError elsewhere, with the names that Consul knows
 */
export async function clusterName(
  name: string | undefined,
  consul: ConsulHttp | undefined,
  signal: AbortSignal,
  log: Logger,
): Promise<string> {
  if (name !== undefined) return name
  if (consul === undefined || isLoopback(consul.url)) {
    log.warn(
      { event: 'default_cluster_name', name: defaultClusterName },
      `CLUSTER_NAME is not set, using ${defaultClusterName}`,
    )
    return defaultClusterName
  }
  const seen = await clusterNamesSeen(consul, signal).catch(() => [])
  const list = seen.length === 0 ? 'none could be seen' : seen.join(', ')
  throw new SettingsError([
    `CLUSTER_NAME: expected the name of this cluster, which no other cluster of Consul at ${consul.url.host} has ` +
      `(names there: ${list}): it is not set`,
  ])
}

/** The values of `cluster_name` at Consul: of the agent's services and of external nodes. */
async function clusterNamesSeen(consul: ConsulHttp, signal: AbortSignal): Promise<string[]> {
  type WithMeta = { readonly Meta: Readonly<Record<string, string>> | null }
  const common = { signal, timeoutMs: 5_000, act: 'look for cluster names' }
  const rule = 'service_prefix "" { policy = "read" } and node_prefix "" { policy = "read" }'
  const [services, nodes] = await Promise.all([
    consul.get<Record<string, WithMeta>>('/agent/services', { ...common, rule }),
    consul.get<WithMeta[]>('/catalog/nodes', { ...common, rule }),
  ])
  const all = [...Object.values(services.body), ...nodes.body]
  return [...new Set(all.flatMap(({ Meta }) => Meta?.['cluster_name'] ?? []))].sort()
}
