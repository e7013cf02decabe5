/** Where the registrar puts the targets, and who reads them there: real servers where they can be had. */
import { Consul } from '../lab/consul.ts'
import { prepare } from '../lab/needs.ts'
import { freePorts } from '../lab/ports.ts'
import { Prometheus } from '../lab/prometheus.ts'
import { waitFor } from '../lab/wait.ts'
import { demoPrometheusConfig } from './prometheus-config.ts'
import { note, step } from './screen.ts'
import { DirectoryReader, prometheusView, type TargetView } from './target-view.ts'

/** The names under which the shipped Prometheus configuration looks. */
export const serviceNames = { POD_SERVICE_NAME: 'k8s-pods', NODE_SERVICE_NAME: 'k8s-nodes' }

export interface Directory extends AsyncDisposable {
  /** `Consul 1.8.7`, `embedded catalog`. */
  readonly name: string
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** What to open in a browser. */
  readonly page: string
  /** The registrar's settings for it. */
  readonly settings: Readonly<Record<string, string>>
}

/**
 * Starts a Consul; where there is none to be had, the registrar is to serve its embedded catalog.
 *
 * @param embedded use the embedded catalog in any case
 */
export async function startDirectory(embedded: boolean): Promise<Directory> {
  const missing = embedded
    ? '--embedded'
    : (await step('unpacking Consul from Debian', () => prepare(['consul']))).consul
  if (missing === undefined) {
    const consul = await step('starting Consul', () => Consul.start({ nodeName: 'consul-demo' }))
    const { Config } = await consul.get<{ Config: { Version: string } }>('/v1/agent/self')
    return {
      name: `Consul ${Config.Version}`,
      url: consul.url,
      page: `${consul.url}/ui`,
      settings: { CONSUL_ADDRESS: consul.url },
      [Symbol.asyncDispose]: () => consul[Symbol.asyncDispose](),
    }
  }
  note(`no Consul (${missing}): the registrar serves its embedded catalog instead`)
  const [port = 0] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  return {
    name: 'embedded catalog',
    url,
    page: `${url}/v1/catalog/services`,
    settings: { CONSUL_ADDRESS: 'embedded', CONSUL_LISTEN: String(port) },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/**
 * Starts a Prometheus with the shipped configuration; where there is none to be had, a small reader.
 *
 * @param embedded use the reader in any case
 */
export async function startView(directory: Directory, embedded: boolean): Promise<TargetView> {
  const missing = embedded
    ? '--embedded'
    : (await step('unpacking Prometheus from Debian', () => prepare(['prometheus']))).prometheus
  if (missing === undefined) {
    const config = demoPrometheusConfig(new URL(directory.url).host)
    const prometheus = await step('starting Prometheus with deploy/prometheus/prometheus.yml', () =>
      Prometheus.start(config),
    )
    return prometheusView(prometheus)
  }
  note(`no Prometheus (${missing}): a small reader follows the catalog instead`)
  await waitFor('the catalog', async () => (await fetch(`${directory.url}/v1/catalog/services`)).ok)
  return new DirectoryReader(directory.url, Object.values(serviceNames))
}
