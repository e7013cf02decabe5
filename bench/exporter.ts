/**
 * `npm run bench -- exporter`: a scrape of a node with 300 real containers and 60,000 sockets, per collector, beside other ways
 * to the same figures. Needs root. The program is measured as it is shipped, compiled. BENCH_PODS and BENCH_SOCKETS make it smaller.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { mapConcurrent } from '../src/common/concurrent.ts'
import { buildProgram } from '../lab/built-program.ts'
import { Containerd, type LabPod } from '../lab/containerd.ts'
import { unpackDebian } from '../lab/debian.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { SocketHolder } from '../lab/network-namespace.ts'
import { freePorts } from '../lab/ports.ts'
import { Process } from '../lab/process.ts'
import { processUsage } from '../lab/process-usage.ts'
import { Program } from '../lab/program.ts'
import { waitFor } from '../lab/wait.ts'
import type { BenchResult, BenchRow } from './result.ts'

const pods = Number(process.env['BENCH_PODS'] ?? 300)
const sockets = Number(process.env['BENCH_SOCKETS'] ?? 60_000)
/** A process may hold 20,000 descriptors. */
const podsPerHolder = 30

/** Every collector alone, those that need no socket table together, and all that run by default. */
const groups: Readonly<Record<string, string>> = {
  sockstat: 'sockstat',
  filesystem: 'filesystem',
  network: 'network',
  resources: 'resources',
  processes: 'processes',
  advtcp: 'advtcp',
  'without socket table': 'sockstat,filesystem',
  'connections, tcp, udp': 'connections,tcp,udp',
  'all defaults': 'connections,tcp,udp,sockstat,filesystem,tcp_health',
}

interface Cost {
  readonly wallMs: number
  readonly cpuMs: number
  readonly rssMiB: number
}

/** Runs it; takes three to four minutes. */
export async function exporter(): Promise<BenchResult> {
  await using owned = new AsyncDisposableStack()
  const containerd = owned.use(await Containerd.start())
  const started = await mapConcurrent(
    Array.from({ length: pods }, (_, k) => `pod-${k}`),
    4,
    (name) => containerd.runPod({ name, namespace: 'bench' }),
  )
  const pids = started.map(pidOf)
  for (let k = 0; k < pids.length; k += podsPerHolder)
    owned.use(await SocketHolder.connections(Math.ceil(sockets / pods / 2), pids.slice(k, k + podsPerHolder)))

  const { path } = owned.use(await TemporaryFolder.create('bench'))
  const entry = await buildProgram(path, true)
  const rows: BenchRow[] = []
  const costs = new Map<string, Cost>()
  for (const [group, collectors] of Object.entries(groups)) {
    const cost = await measure(entry, containerd.socket, collectors)
    costs.set(group, cost)
    rows.push({ what: 'scrape, wall', subject: group, value: cost.wallMs, unit: 'ms' })
    rows.push({ what: 'scrape, CPU', subject: group, value: cost.cpuMs, unit: 'ms' })
    rows.push({ what: 'RSS', subject: group, value: cost.rssMiB, unit: 'MiB' })
  }
  const procfs = await measure(entry, containerd.socket, 'connections,tcp,udp', {
    ...{ settings: { CONNECTIONS_SOURCE: 'procfs' }, scrapes: 1 },
  })
  rows.push({
    what: 'scrape, wall',
    subject: '/proc/PID/net/tcp: connections, tcp, udp',
    value: procfs.wallMs,
    unit: 'ms',
  })
  rows.push({
    what: 'scrape, CPU',
    subject: '/proc/PID/net/tcp: connections, tcp, udp',
    value: procfs.cpuMs,
    unit: 'ms',
  })
  rows.push(...(await others(pids)), ...(await nodeExporter()))
  const idle = await idlePercent(entry, containerd.socket)
  rows.push({ what: 'of a core at 15 s', subject: 'all defaults', value: idle, unit: 'percent' })
  const light = costs.get('without socket table')
  return {
    rows,
    ratios: {
      cpuMsPerScrape: light?.cpuMs ?? Number.NaN,
      wallMsPerScrape: light?.wallMs ?? Number.NaN,
      rssMiB: costs.get('all defaults')?.rssMiB ?? Number.NaN,
      idleCorePercent15s: idle,
    },
  }
}

/** Medians of wall time, mean CPU of the exporter's process, and its memory afterwards. */
async function measure(
  entry: string,
  socket: string,
  collectors: string,
  { settings = {}, scrapes = 20 }: { settings?: Record<string, string>; scrapes?: number } = {},
): Promise<Cost> {
  await using program = await startExporter(entry, socket, collectors, settings)
  const url = await program.url()
  return await measureScrapes(program.process.pid, () => scrape(url), scrapes)
}

/** Scrapes until V8 has compiled what runs at each: an exporter runs for weeks. */
const untilCompiled = 40

/** The first scrapes warm it up; of one that takes seconds, the only one is measured. */
async function measureScrapes(pid: number, once: () => Promise<unknown>, count: number): Promise<Cost> {
  const wall: number[] = []
  for (let k = 0; k < untilCompiled && count > 1; k += 1) await once()
  const before = processUsage(pid).cpuMs
  for (let k = 0; k < count; k += 1) {
    const startedAt = performance.now()
    await once()
    wall.push(performance.now() - startedAt)
    await delay(100)
  }
  const { cpuMs, rssBytes } = processUsage(pid)
  return { wallMs: median(wall), cpuMs: (cpuMs - before) / count, rssMiB: rssBytes / 2 ** 20 }
}

/** Debian's prometheus-node-exporter with what it has of the same: sockets of its own network namespace, mounts, traffic. */
async function nodeExporter(): Promise<BenchRow[]> {
  const folder = await unpackDebian('bookworm', ['prometheus-node-exporter'])
  const [port = 0] = await freePorts(1)
  const collectors = ['sockstat', 'tcpstat', 'filesystem', 'netdev'].map((name) => `--collector.${name}`)
  await using program = await Process.start(
    'node-exporter',
    join(folder, 'usr/bin/prometheus-node-exporter'),
    [...['--collector.disable-defaults', ...collectors, `--web.listen-address=127.0.0.1:${port}`]],
  )
  const url = `http://127.0.0.1:${port}/metrics`
  await waitFor('node-exporter to answer', async () => (await fetch(url)).ok)
  const cost = await measureScrapes(program.pid, async () => (await fetch(url)).text(), 20)
  const subject = 'node-exporter: its own namespace alone'
  return [
    { what: 'scrape, wall', subject, value: cost.wallMs, unit: 'ms' },
    { what: 'scrape, CPU', subject, value: cost.cpuMs, unit: 'ms' },
    { what: 'RSS', subject, value: cost.rssMiB, unit: 'MiB' },
  ]
}

/** The CPU that three scrapes at Prometheus' usual interval take, and all that runs between them. */
async function idlePercent(entry: string, socket: string): Promise<number> {
  await using program = await startExporter(entry, socket, groups['all defaults'] ?? '')
  const url = await program.url()
  for (let k = 0; k < untilCompiled; k += 1) await scrape(url)
  const before = processUsage(program.process.pid).cpuMs
  const startedAt = performance.now()
  for (let k = 0; k < 3; k += 1) {
    await delay(15_000)
    await scrape(url)
  }
  return ((processUsage(program.process.pid).cpuMs - before) / (performance.now() - startedAt)) * 100
}

async function startExporter(
  entry: string,
  socket: string,
  collectors: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const program = await Program.start(
    ['exporter'],
    { RUNTIME_ENDPOINT: socket, COLLECTORS: collectors, ...more },
    entry,
  )
  const url = await program.url()
  await waitFor('the exporter to be ready', async () => (await fetch(`${url}/readyz`)).ok)
  return program
}

async function scrape(url: string): Promise<string> {
  const response = await fetch(`${url}/metrics`, {
    headers: { 'x-prometheus-scrape-timeout-seconds': '30' },
  })
  const text = await response.text()
  const failed = /podsonar_collector_success\{collector="(\w+)"\} 0/.exec(text)
  if (failed !== null) throw new Error(`the collector ${failed[1] ?? ''} failed`)
  return text
}

/** The same sockets in the ways that people use: once over all namespaces, one after the other. */
async function others(pids: readonly number[]): Promise<BenchRow[]> {
  const timed = async (subject: string, what: () => Promise<void> | void): Promise<BenchRow> => {
    const startedAt = performance.now()
    await what()
    return { what: 'all namespaces, wall', subject, value: performance.now() - startedAt, unit: 'ms' }
  }
  const rows = [
    await timed('/proc/PID/net/tcp, read only', () => {
      for (const pid of pids) readFileSync(`/proc/${pid}/net/tcp`)
    }),
  ]
  const ss = `for pid in ${pids.join(' ')}; do nsenter -t $pid -n ss -Htan > /dev/null || exit 1; done`
  const script = await Process.start('ss', 'sh', ['-c', `command -v ss > /dev/null && ${ss}`])
  const startedAt = performance.now()
  const { code } = await script.exited
  if (code === 0)
    rows.push({
      ...{ what: 'all namespaces, wall', subject: 'ss -Htan', unit: 'ms' },
      value: performance.now() - startedAt,
    })
  return rows
}

function pidOf({ name, containers }: LabPod): number {
  const pid = containers[0]?.pid
  if (pid === undefined) throw new Error(`${name} has no container`)
  readlinkSync(`/proc/${pid}/ns/net`)
  return pid
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
