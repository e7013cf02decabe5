/** A node with hundreds of real pods, most of which talk to a few of them, for pictures and benchmarks of the exporter's page. */
import { mapConcurrent } from '../src/common/concurrent.ts'
import type { Containerd, LabPod } from './containerd.ts'
import { socketContainer } from './pod-programs.ts'

/** What others connect to: a port, and pods in equal parts. */
interface Server {
  readonly namespace: string
  readonly name: string
  readonly port: number
  readonly pods: number
}

/** Pods that connect, each to one pod of every server that is named. */
interface Workload {
  readonly namespace: string
  readonly name: string
  /** Of all that connect. */
  readonly share: number
  readonly to: readonly string[]
}

const servers: readonly Server[] = [
  { namespace: 'data', name: 'postgres', port: 5432, pods: 3 },
  { namespace: 'data', name: 'redis', port: 6379, pods: 3 },
  { namespace: 'data', name: 'kafka', port: 9092, pods: 3 },
  { namespace: 'data', name: 'elasticsearch', port: 9200, pods: 1 },
]
const workloads: readonly Workload[] = [
  { namespace: 'shop', name: 'web-6d9467768', share: 0.2, to: ['redis'] },
  { namespace: 'shop', name: 'orders-7c5ddb9f7', share: 0.15, to: ['postgres', 'kafka'] },
  { namespace: 'shop', name: 'checkout-5f7c9b6d8', share: 0.1, to: ['postgres', 'redis'] },
  { namespace: 'payments', name: 'api-66c4f8b5d', share: 0.15, to: ['postgres'] },
  { namespace: 'payments', name: 'ledger-58bd7f9c4', share: 0.1, to: ['postgres', 'kafka'] },
  { namespace: 'search', name: 'indexer-84d6c9b57', share: 0.1, to: ['kafka', 'elasticsearch'] },
  { namespace: 'search', name: 'query-7f9d8c6b5', share: 0.1, to: ['elasticsearch', 'redis'] },
  { namespace: 'media', name: 'thumbnails-6b8f7d9c5', share: 0.1, to: ['kafka'] },
]

export interface CrowdedNode {
  readonly pods: number
  /** That will stand. */
  readonly connections: number
}

/** Starts about `pods` pods; their connections come to stand by and by. */
export async function crowd(containerd: Containerd, pods: number): Promise<CrowdedNode> {
  const serving = new Map<string, LabPod[]>()
  for (const { namespace, name, port, pods: replicas } of servers) {
    const container = socketContainer(name, { listen: [{ host: '0.0.0.0', port }] })
    const started: LabPod[] = []
    for (let k = 0; k < replicas; k += 1)
      started.push(await containerd.runPod({ namespace, name: `${name}-${k}`, containers: [container] }))
    serving.set(name, started)
  }
  const connecting = pods - [...serving.values()].flat().length
  const specs = workloads.flatMap(({ namespace, name, share, to }) =>
    Array.from({ length: Math.round(connecting * share) }, (_, k) => ({
      ...{ namespace, name: `${name}-${podSuffix(k)}` },
      targets: to.map((server) => addressOf(server, k, serving)),
    })),
  )
  await mapConcurrent(specs, 4, ({ targets, ...pod }) =>
    containerd.runPod({
      ...pod,
      command: ['sh', '-c', [...targets.map((to) => `sleep 1000000 | nc ${to} &`), 'wait'].join(' ')],
    }),
  )
  return {
    pods: specs.length + [...serving.values()].flat().length,
    connections: specs.reduce((sum, { targets }) => sum + targets.length, 0),
  }
}

function addressOf(server: string, index: number, serving: ReadonlyMap<string, readonly LabPod[]>): string {
  const replicas = serving.get(server) ?? []
  const port = servers.find(({ name }) => name === server)?.port
  return `${replicas[index % replicas.length]?.ip ?? ''} ${port ?? 0}`
}

/** As a ReplicaSet names its pods: letters and digits without vowels. */
function podSuffix(index: number): string {
  const letters = 'bcdfghjklmnpqrstvwxz2456789'
  const letter = (k: number): string => letters[k % letters.length] ?? ''
  return [index, index * 7 + 3, Math.floor(index / letters.length), index * 11 + 5, index * 5 + 1]
    .map(letter)
    .join('')
}
