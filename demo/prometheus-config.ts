import { readFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'

/** The part of prometheus.yml that the demo changes. */
interface PrometheusConfig {
  global: Record<string, string>
  scrape_configs: { consul_sd_configs: { server: string; refresh_interval: string }[] }[]
}

/**
 * The Prometheus configuration that podsonar ships, pointed at another Consul and made quick: scraped every two seconds.
 *
 * @param server `host:port`
 */
export function demoPrometheusConfig(server: string): string {
  const shipped = readFileSync(new URL('../deploy/prometheus/prometheus.yml', import.meta.url), 'utf8')
  const config = parse(shipped) as PrometheusConfig
  config.global = { scrape_interval: '2s', scrape_timeout: '2s' }
  for (const { consul_sd_configs: discoveries } of config.scrape_configs) {
    for (const discovery of discoveries) Object.assign(discovery, { server, refresh_interval: '1s' })
  }
  return stringify(config)
}
