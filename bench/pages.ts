/**
 * The pages for people, compiled as they are shipped: a registrar with 20,000 pods, a proxy with 20,000 nodes, an exporter with
 * 300 real pods. How long the first page, a filtered one and the last one take, and for how long nothing else runs meanwhile.
 * BENCH_PODS makes the exporter's node smaller.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildProgram } from '../lab/built-program.ts'
import { Containerd } from '../lab/containerd.ts'
import { crowd } from '../lab/crowded-node.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { libbpfFile, prepare } from '../lab/needs.ts'
import { SimulatedKubernetes } from '../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../lab/program.ts'
import { waitFor } from '../lab/wait.ts'
import { bigCluster } from './registrar/cluster.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'
import type { Turn } from './turns.ts'

const targets = 20_000
const pods = Number(process.env['BENCH_PODS'] ?? 300)
const [warmUps, requests] = [5, 20]
const patience = { timeoutMs: 300_000 }

/** A mode with much to show. */
interface Subject {
  readonly mode: string
  readonly what: string
  readonly port: 'PORT' | 'OPS_PORT'
  readonly settings: Readonly<Record<string, string>>
  /** Query parameters of each page. */
  readonly pages: Readonly<Record<string, string>>
  /** Whether the page shows all of it. */
  readonly isWhole: (page: string) => boolean
}

interface Measured {
  readonly rows: readonly BenchRow[]
  readonly slowestMs: number
  readonly longestTurnMs: number
  readonly ownTurnMs: number
}

export async function pages(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['containerd', 'bpf', 'libbpf']))
  if (missing.length > 0) throw new Error(missing.join('; '))
  await using folder = await TemporaryFolder.create('bench')
  const entry = await buildProgram(folder.path, true)
  const measured = [
    await measureRegistrar(entry, folder.path),
    await measureProxy(entry, folder.path),
    await measureExporter(entry, folder.path),
  ]
  return {
    rows: measured.flatMap(({ rows }) => rows),
    ratios: {
      pageMaxMs: Math.max(...measured.map(({ slowestMs }) => slowestMs)),
      eventLoopMaxMs: Math.max(...measured.map(({ longestTurnMs }) => longestTurnMs)),
      ownTurnMaxMs: Math.max(...measured.map(({ ownTurnMs }) => ownTurnMs)),
    },
  }
}

async function measureRegistrar(entry: string, folder: string): Promise<Measured> {
  await using kubernetes = await bigCluster(targets, 0)
  const settings = {
    KUBECONFIG: await kubernetes.kubeconfig(),
    CONSUL_ADDRESS: 'embedded',
    CONSUL_LISTEN: '0',
  }
  return await measure(entry, folder, {
    ...{ mode: 'registrar', what: `registrar, ${targets} pods`, port: 'PORT' },
    settings: { ...settings, CLUSTER_NAME: 'bench', POD_SERVICE_NAME: 'k8s-pods' },
    pages: { first: '', filtered: 'q=workload-17+team-17', last: `registered=${targets}` },
    isWhole: (page) => page.includes(`of ${targets}`),
  })
}

async function measureProxy(entry: string, folder: string): Promise<Measured> {
  await using kubernetes = await SimulatedKubernetes.start({ prepared: true })
  for (let k = 0; k < targets; k += 1)
    kubernetes.addNode({ name: `node-${k}`, internalIps: [`172.16.${k >> 8}.${k & 255}`] })
  const token = join(folder, 'token')
  await writeFile(token, 'bench', { mode: 0o600 })
  const kubelets = { KUBELET_INSECURE_TLS: 'true', KUBELET_TOKEN_FILE: token }
  return await measure(entry, folder, {
    ...{ mode: 'proxy', what: `proxy, ${targets} nodes`, port: 'OPS_PORT' },
    settings: { KUBECONFIG: await kubernetes.kubeconfig(), ...kubelets },
    pages: { first: '', filtered: 'q=node-77+ready', last: `nodes=${targets}` },
    isWhole: (page) => page.includes(`of ${targets}`),
  })
}

async function measureExporter(entry: string, folder: string): Promise<Measured> {
  await using containerd = await Containerd.start()
  const node = await crowd(containerd, pods)
  return await measure(entry, folder, {
    ...{
      mode: 'exporter',
      what: `exporter, ${node.pods} pods, ${node.connections} connections`,
      port: 'PORT',
    },
    settings: { RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile() },
    pages: { first: '', filtered: 'q=orders', last: `pods=${pods}` },
    isWhole: (page) => Number(/([0-9]+) sockets from/.exec(page)?.[1] ?? 0) >= 2 * node.connections,
  })
}

async function measure(
  entry: string,
  folder: string,
  { mode, what: subject, port, settings, pages: queries, isWhole }: Subject,
): Promise<Measured> {
  const turnsFile = join(folder, `${mode}.json`)
  const noting = {
    NODE_OPTIONS: `--import=${fileURLToPath(new URL('turns.ts', import.meta.url))}`,
    BENCH_TURNS: turnsFile,
  }
  await using program = await Program.start([mode], { ...settings, ...noting }, entry)
  const url = await program.url(port)
  const get = async (query: string): Promise<string> => (await fetch(`${url}/?${query}`)).text()
  await waitFor(`${mode} to show all`, async () => isWhole(await get('')), patience)
  const began = Date.now()
  const rows: BenchRow[] = []
  const medians: number[] = []
  for (const [page, query] of Object.entries(queries)) {
    const times: number[] = []
    let bytes = 0
    for (let k = 0; k < warmUps + requests; k += 1) {
      const startedAt = performance.now()
      bytes = Buffer.byteLength(await get(query))
      if (k >= warmUps) times.push(performance.now() - startedAt)
    }
    medians.push(median(times))
    rows.push({ what: `${page} page, median`, subject, value: median(times), unit: 'ms' })
    rows.push({ what: `${page} page`, subject, value: bytes, unit: 'bytes' })
  }
  program.process.kill('SIGTERM')
  await program.process.exited
  const turns = (JSON.parse(await readFile(turnsFile, 'utf8')) as Turn[]).filter((turn) => turn.began > began)
  const longest = (time: (turn: Turn) => number): number => Math.max(0, ...turns.map(time))
  const [longestTurnMs, ownTurnMs] = [longest(({ wallMs }) => wallMs), longest(({ cpuMs }) => cpuMs)]
  rows.push({
    what: 'longest turn of the event loop (0: under 10 ms)',
    subject,
    value: longestTurnMs,
    unit: 'ms',
  })
  rows.push({ what: 'its own CPU time in one turn', subject, value: ownTurnMs, unit: 'ms' })
  return { rows, slowestMs: Math.max(...medians), longestTurnMs, ownTurnMs }
}
