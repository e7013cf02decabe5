/** How long each mode takes from process start until it is ready, and its memory then, beside a bare Node.js. Needs root. */
import { Consul } from '../lab/consul.ts'
import { Containerd } from '../lab/containerd.ts'
import { SimulatedKubernetes } from '../lab/kubernetes/simulated-kubernetes.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { Process } from '../lab/process.ts'
import { processUsage } from '../lab/process-usage.ts'
import { Program } from '../lab/program.ts'
import { waitFor } from '../lab/wait.ts'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { prepare } from '../lab/needs.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

const runs = 5

/** One start of one subject. */
interface Start {
  readonly readyMs: number
  readonly rssMiB: number
}

export async function start(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['consul', 'containerd']))
  if (missing.length > 0) throw new Error(missing.join('; '))
  await using consul = await Consul.start()
  await using kubernetes = await SimulatedKubernetes.start()
  await using containerd = await Containerd.start()
  await using folder = await TemporaryFolder.create('bench')
  kubernetes.addNode({ name: 'node-1' })
  const token = join(folder.path, 'token')
  await writeFile(token, 'bench', { mode: 0o600 })
  const cluster = { KUBECONFIG: await kubernetes.kubeconfig(), CLUSTER_NAME: 'bench' }
  const subjects: Readonly<Record<string, () => Promise<Start>>> = {
    'bare Node.js': bareNode,
    'podsonar registrar': () => startMode('registrar', 'PORT', { ...cluster, CONSUL_ADDRESS: consul.url }),
    'podsonar proxy': () =>
      startMode('proxy', 'OPS_PORT', { ...cluster, KUBELET_INSECURE_TLS: 'true', KUBELET_TOKEN_FILE: token }),
    'podsonar exporter': () =>
      startMode('exporter', 'PORT', { RUNTIME_ENDPOINT: `unix://${containerd.socket}` }),
  }
  const results = new Map<string, Start[]>(Object.keys(subjects).map((subject) => [subject, []]))
  // In turn, so that a slower moment of the machine is shared by all.
  for (let run = 0; run < runs; run += 1) {
    for (const [subject, once] of Object.entries(subjects)) results.get(subject)?.push(await once())
  }
  const rows = [...results].flatMap(([subject, starts]): BenchRow[] => [
    {
      what: 'start to ready, median',
      subject,
      value: median(starts.map(({ readyMs }) => readyMs)),
      unit: 'ms',
    },
    {
      what: 'resident memory, median',
      subject,
      value: median(starts.map(({ rssMiB }) => rssMiB)),
      unit: 'MiB',
    },
  ])
  return { rows, ratios: {} }
}

async function startMode(
  mode: string,
  port: 'PORT' | 'OPS_PORT',
  settings: Record<string, string>,
): Promise<Start> {
  const started = performance.now()
  await using program = await Program.start([mode], settings)
  const url = await program.url(port)
  await waitFor(`${mode} to be ready`, async () => (await fetch(`${url}/readyz`)).ok, { everyMs: 5 })
  return { readyMs: performance.now() - started, rssMiB: rssMiB(program.process.pid) }
}

async function bareNode(): Promise<Start> {
  const started = performance.now()
  const script = "setInterval(() => {}, 1e6); console.log('ready')"
  await using bare = await Process.start('node', process.execPath, ['-e', script])
  await waitFor('node', () => bare.stdout.includes('ready'), { everyMs: 5 })
  return { readyMs: performance.now() - started, rssMiB: rssMiB(bare.pid) }
}

function rssMiB(pid: number): number {
  return processUsage(pid).rssBytes / 2 ** 20
}
