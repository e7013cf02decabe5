/** What registrar tests share: settings, annotations, and Consul's own view of our services. */
import type { Consul } from '../../lab/consul.ts'
import type { SimulatedKubernetes } from '../../lab/kubernetes/simulated-kubernetes.ts'
import type { Program } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'

/** `prometheus.io/…` annotations of a target. */
export function marked(more: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ scrape: 'true', ...more }).map(([key, value]) => [`prometheus.io/${key}`, value]),
  )
}

/** The settings of a registrar of the cluster c1, with `more`. */
export async function registrarSettings(
  consul: Pick<Consul, 'url'>,
  kubernetes: SimulatedKubernetes,
  more: Record<string, string> = {},
): Promise<Record<string, string>> {
  const kubeconfig = await kubernetes.kubeconfig()
  return {
    KUBECONFIG: kubeconfig,
    CONSUL_ADDRESS: consul.url,
    CLUSTER_NAME: 'c1',
    LOG_LEVEL: 'debug',
    ...more,
  }
}

/** A service as Consul's agent and catalog tell it. */
export interface ConsulService {
  readonly ID: string
  readonly Service: string
  readonly Address: string
  readonly Port: number
  readonly Tags: readonly string[]
  readonly Meta: Readonly<Record<string, string>>
}

const ours = ({ ID }: ConsulService): boolean => /^(pod|node)--/.test(ID)

/** The services of an agent that stand for pods and nodes, by ID. */
export async function agentServices(consul: Consul): Promise<Map<string, ConsulService>> {
  const all = await consul.get<Record<string, ConsulService>>('/v1/agent/services')
  return new Map(
    Object.values(all)
      .filter(ours)
      .map((service) => [service.ID, service]),
  )
}

/** The body of /readyz. */
export interface ReadyBody {
  readonly ready: boolean
  readonly reasons: Readonly<Record<string, string>>
  readonly notes: Readonly<Record<string, string>>
}

export async function readyz(program: Program): Promise<ReadyBody> {
  return (await (await fetch(`${await program.url()}/readyz`)).json()) as ReadyBody
}

/** Waits until the registrar says that everything is in place. */
export async function untilReady(program: Program): Promise<void> {
  await waitFor('the registrar to be ready', async () => (await readyz(program)).ready, {
    timeoutMs: 120_000,
  })
}

/** The value of one sample of /metrics, by its name and labels as written there; 0 when it is absent. */
export async function metric(program: Program, sample: string): Promise<number> {
  const text = await (await fetch(`${await program.url()}/metrics`)).text()
  const line = text.split('\n').find((one) => one.startsWith(`${sample} `))
  return Number(line?.slice(sample.length + 1) ?? 0)
}

/** The services of the external node of a cluster that stand for pods and nodes, by ID. */
export async function catalogServices(consul: Consul, cluster = 'c1'): Promise<Map<string, ConsulService>> {
  const answer = await consul.get<{ Services: Record<string, ConsulService> } | null>(
    `/v1/catalog/node/k8s-${cluster}`,
  )
  return new Map(
    Object.values(answer?.Services ?? {})
      .filter(ours)
      .map((service) => [service.ID, service]),
  )
}

/** The settings of the catalog backend with a single replica. */
export const catalogBackend = { CONSUL_BACKEND: 'catalog', LEADER_ELECTION: 'false' }

/** The instances of a service in the catalog, wherever they are registered. */
export function instancesOf(consul: Consul, name: string): Promise<{ Node: string; ServiceID: string }[]> {
  return consul.get(`/v1/catalog/service/${encodeURIComponent(name)}`)
}
