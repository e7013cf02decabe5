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
  /** `Consul 1.8.7`, `podsonar's embedded catalog`. */
  readonly name: string
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** The registrar's settings for it. */
  readonly settings: Readonly<Record<string, string>>
}

/** Starts a Consul; where there is none to be had, the registrar is to serve its embedded catalog. */
export async function startDirectory(): Promise<Directory> {
  const { consul: missing } = await prepare(['consul'])
  if (missing === undefined) {
    const consul = await Consul.start({ nodeName: 'consul-demo' })
    const { Config } = await consul.get<{ Config: { Version: string } }>('/v1/agent/self')
    step(`Consul ${Config.Version} runs`)
    return {
      name: `Consul ${Config.Version}`,
      url: consul.url,
      settings: { CONSUL_ADDRESS: consul.url },
      [Symbol.asyncDispose]: () => consul[Symbol.asyncDispose](),
    }
  }
  note(`no Consul (${missing}): the registrar serves its embedded catalog instead`)
  const [port = 0] = await freePorts(1)
  return {
    name: "podsonar's embedded catalog",
    url: `http://127.0.0.1:${port}`,
    settings: { CONSUL_ADDRESS: 'embedded', CONSUL_LISTEN: String(port) },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** Starts a Prometheus with the shipped configuration; where there is none to be had, a small reader. */
export async function startView(directory: Directory): Promise<TargetView> {
  const { prometheus: missing } = await prepare(['prometheus'])
  if (missing === undefined) {
    const prometheus = await Prometheus.start(demoPrometheusConfig(new URL(directory.url).host))
    step('Prometheus runs, with deploy/prometheus/prometheus.yml')
    return prometheusView(prometheus)
  }
  note(`no Prometheus (${missing}): a small reader follows the catalog instead`)
  await waitFor('the embedded catalog', async () => (await fetch(`${directory.url}/v1/catalog/services`)).ok)
  return new DirectoryReader(directory.url, Object.values(serviceNames))
}
