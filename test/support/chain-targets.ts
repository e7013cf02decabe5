/** What a Prometheus outside a real cluster is to find, and finds. */
import { readFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'
import type { Target } from '../../lab/prometheus.ts'
import { list, type PodView } from './chain.ts'

const shipped = readFileSync(new URL('../../deploy/prometheus/prometheus.yml', import.meta.url), 'utf8')

/** The shipped configuration, pointed at our Consul and made quick. */
export function prometheusConfig(server: string): string {
  const config = parse(shipped) as {
    global: object
    scrape_configs: { consul_sd_configs: Record<string, unknown>[] }[]
  }
  config.global = { scrape_interval: '3s', scrape_timeout: '3s' }
  for (const { consul_sd_configs: discoveries } of config.scrape_configs)
    for (const discovery of discoveries) Object.assign(discovery, { server, refresh_interval: '1s' })
  return stringify(config)
}

/** `namespace/name` of every pod that is to be found, and its address as a target. */
export async function wantedPods(): Promise<Map<string, string>> {
  const pods = await list<PodView>('pods')
  return new Map(
    pods.flatMap(({ metadata, status }) => {
      const { 'prometheus.io/scrape': scrape, 'prometheus.io/port': port = '8080' } =
        metadata.annotations ?? {}
      const isTarget = scrape === 'true' && status.podIP && !['Succeeded', 'Failed'].includes(status.phase)
      return isTarget ? [[`${metadata.namespace}/${metadata.name}`, `${status.podIP}:${port}`] as const] : []
    }),
  )
}

/** What Prometheus has of pods: `namespace/name` → address. */
export function foundPods(targets: readonly Target[]): Map<string, string> {
  return new Map(
    targets
      .filter(({ discoveredLabels }) => discoveredLabels['__meta_consul_service'] === 'k8s-pods')
      .map(({ discoveredLabels: labels }) => [
        `${labels['__meta_consul_service_metadata_namespace'] ?? ''}/${labels['__meta_consul_service_metadata_pod_name'] ?? ''}`,
        labels['__address__'] ?? '',
      ]),
  )
}
