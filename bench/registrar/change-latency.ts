import { Consul } from '../../lab/consul.ts'
import type { SimulatedKubernetes } from '../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'
import { median } from '../result.ts'
import { settingsFor } from './cluster.ts'

const changes = 2_000
const changesPerSecond = 100

/**
 * How long it takes from a change at the API server until who waits for that service at Consul is told, while 100 pods a second
 * get another address.
 */
export async function changeLatency(
  kubernetes: SimulatedKubernetes,
  entry: string,
): Promise<{ readonly medianMs: number; readonly p99Ms: number }> {
  await using consul = await Consul.start({ config: { limits: { http_max_conns_per_client: 10_000 } } })
  await using program = await Program.start(['registrar'], await settingsFor(kubernetes, consul.url), entry)
  const url = await program.url()
  const patience = { timeoutMs: 300_000 }
  await waitFor('everything to be registered', async () => (await fetch(`${url}/readyz`)).ok, patience)

  const latencies: number[] = []
  const pods = kubernetes.pods.slice(0, changes)
  const begin = performance.now()
  await Promise.all(
    pods.map(async ({ namespace, name }, index) => {
      const ip = `10.200.${index >> 8}.${index & 255}`
      const path = `${consul.url}/v1/catalog/service/pod--${namespace}--${name}`
      // Half a second before its turn the wait is set up, so that only the change itself is measured.
      const turn = begin + 1_000 + (index * 1_000) / changesPerSecond
      await until(turn - 500)
      const now = await fetch(path)
      await now.arrayBuffer()
      const told = fetch(`${path}?index=${now.headers.get('x-consul-index') ?? ''}&wait=60s`)
      await until(turn)
      const changed = performance.now()
      kubernetes.updatePod(namespace, name, { ip })
      const [service] = (await (await told).json()) as { ServiceAddress: string }[]
      if (service?.ServiceAddress !== ip)
        throw new Error(`${name} has ${service?.ServiceAddress ?? 'no address'}`)
      latencies.push(performance.now() - changed)
    }),
  )
  const sorted = latencies.toSorted((a, b) => a - b)
  return { medianMs: median(sorted), p99Ms: sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN }
}

function until(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, time - performance.now())))
}
