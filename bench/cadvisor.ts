/**
 * podsonar's exporter, compiled as it is shipped, beside Debian's cAdvisor and prometheus-node-exporter, on the same pods and
 * sockets: what each costs at the same interval, and what each tells. Needs root. BENCH_PODS and BENCH_SOCKETS change the node.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { buildProgram } from '../lab/built-program.ts'
import { Containerd } from '../lab/containerd.ts'
import { unpackDebian } from '../lab/debian.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { libbpfFile, prepare } from '../lab/needs.ts'
import { SocketHolder } from '../lab/network-namespace.ts'
import { freePorts } from '../lab/ports.ts'
import { Process } from '../lab/process.ts'
import { processUsage } from '../lab/process-usage.ts'
import { Program } from '../lab/program.ts'
import { waitFor } from '../lab/wait.ts'
import { mapConcurrent } from '../src/common/concurrent.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

const pods = Number(process.env['BENCH_PODS'] ?? 60)
const sockets = Number(process.env['BENCH_SOCKETS'] ?? 20_000)
const [scrapes, intervalSeconds] = [3, 10]
/** All that cAdvisor 0.38 can be told not to collect. */
const cadvisorMetrics = [
  ...['accelerator', 'cpu_topology', 'disk', 'diskIO', 'memory_numa', 'network', 'tcp', 'udp', 'advtcp'],
  ...['percpu', 'sched', 'process', 'hugetlb', 'referenced_memory', 'resctrl'],
]
const namespace = 'bench'

interface Running extends AsyncDisposable {
  readonly pid: number
  readonly metrics: string
}

interface Cost {
  readonly cpuMsPerMinute: number
  readonly answerMs: number
  readonly rssMiB: number
  /** Established TCP sockets of the pods; 0 where it does not tell them. */
  readonly established: number
}

export async function cadvisor(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['containerd', 'bpf', 'libbpf']))
  if (missing.length > 0) throw new Error(missing.join('; '))
  await using owned = new AsyncDisposableStack()
  const { path } = owned.use(await TemporaryFolder.create('bench'))
  const entry = await buildProgram(path, true)
  const containerd = owned.use(await Containerd.start())
  const started = await mapConcurrent(
    Array.from({ length: pods }, (_, k) => `pod-${k}`),
    4,
    (name) => containerd.runPod({ name, namespace }),
  )
  const pids = started.flatMap(({ containers }) => containers.map(({ pid }) => pid))
  for (let k = 0; k < pids.length; k += 30)
    owned.use(await SocketHolder.connections(Math.ceil(sockets / pods / 2), pids.slice(k, k + 30)))

  const podsonar = (collectors: string, source: string) => () =>
    startPodsonar(entry, containerd.socket, collectors, source)
  const cadvisorOf = (wanted: readonly string[]) => () => startCadvisor(containerd.socket, wanted)
  const subjects: Readonly<Record<string, () => Promise<Running>>> = {
    // Without `network` it tells zeros for TCP and UDP.
    'traffic, TCP and UDP states: cAdvisor 0.38': cadvisorOf(['network', 'tcp', 'udp']),
    'traffic, TCP and UDP states: podsonar, eBPF': podsonar('network,tcp,udp', 'ebpf'),
    'traffic, TCP and UDP states: podsonar, /proc': podsonar('network,tcp,udp', 'procfs'),
    'CPU, memory, disk I/O: cAdvisor 0.38': cadvisorOf(['diskIO']),
    'CPU, memory, disk I/O: podsonar': podsonar('resources', 'procfs'),
    "the node's own sockets and traffic alone: node-exporter": startNodeExporter,
  }
  const costs = new Map<string, Cost>()
  for (const [subject, start] of Object.entries(subjects)) costs.set(subject, await measure(start))
  const [cadvisorStates, ebpfStates, procfsStates, cadvisorUsage, ownUsage] = [...costs.values()].map(
    ({ cpuMsPerMinute }) => cpuMsPerMinute,
  )
  const ratio = (a = Number.NaN, b = Number.NaN): number => a / b
  return {
    rows: [...costs].flatMap(([subject, cost]) => rowsOf(subject, cost)),
    ratios: {
      statesCpuVsCadvisor: ratio(ebpfStates, cadvisorStates),
      statesCpuVsCadvisorProcfs: ratio(procfsStates, cadvisorStates),
      usageCpuVsCadvisor: ratio(ownUsage, cadvisorUsage),
    },
  }
}

function rowsOf(subject: string, { cpuMsPerMinute, answerMs, rssMiB, established }: Cost): BenchRow[] {
  const what = 'established sockets of pods that it tells'
  return [
    { what: 'CPU in a minute', subject, value: cpuMsPerMinute, unit: 'ms' },
    { what: 'answer, median', subject, value: answerMs, unit: 'ms' },
    { what: 'memory', subject, value: rssMiB, unit: 'MiB' },
    ...(established === 0 ? [] : [{ what, subject, value: established, unit: 'count' as const }]),
  ]
}

/** Scraped at the interval for a while: what it does in the background counts too. */
async function measure(start: () => Promise<Running>): Promise<Cost> {
  await using running = await start()
  const scrape = async (): Promise<string> => {
    const response = await fetch(running.metrics)
    if (!response.ok) throw new Error(`${running.metrics} answered ${response.status}`)
    return response.text()
  }
  await waitFor('metrics', scrape, { timeoutMs: 120_000 })
  await delay(intervalSeconds * 1_000)
  await scrape()
  const [before, beganAt] = [processUsage(running.pid).cpuMs, performance.now()]
  const answers: number[] = []
  let last = ''
  for (let k = 0; k < scrapes; k += 1) {
    await delay(intervalSeconds * 1_000)
    const askedAt = performance.now()
    last = await scrape()
    answers.push(performance.now() - askedAt)
  }
  const { cpuMs, rssBytes } = processUsage(running.pid)
  return {
    cpuMsPerMinute: ((cpuMs - before) / (performance.now() - beganAt)) * 60_000,
    answerMs: median(answers),
    rssMiB: rssBytes / 2 ** 20,
    established: established(last),
  }
}

/** Both call the series the same; ours has the pod's namespace in `namespace`, cAdvisor by itself in a label of the container. */
function established(text: string): number {
  return text
    .split('\n')
    .filter((line) => /^container_network_tcp6?_usage_total\{/.test(line))
    .filter((line) => line.includes(`"${namespace}"`) && line.includes('tcp_state="established"'))
    .reduce((sum, line) => sum + Number(/\} (\S+)/.exec(line)?.[1]), 0)
}

async function startPodsonar(
  entry: string,
  socket: string,
  collectors: string,
  source: string,
): Promise<Running> {
  const program = await Program.start(
    ['exporter'],
    {
      ...{ RUNTIME_ENDPOINT: socket, COLLECTORS: collectors, CONNECTIONS_SOURCE: source },
      LIBBPF_PATH: libbpfFile(),
    },
    entry,
  )
  return {
    ...{ pid: program.process.pid, metrics: `${await program.url()}/metrics` },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

async function startCadvisor(socket: string, wanted: readonly string[]): Promise<Running> {
  const folder = await unpackDebian('bullseye', ['cadvisor'])
  const [port = 0] = await freePorts(1)
  const interval = `${intervalSeconds}s`
  return started('cadvisor', join(folder, 'usr/bin/cadvisor'), port, [
    ...[`--port=${port}`, '--listen_ip=127.0.0.1', `--containerd=${socket}`, '--docker=unix:///nonexistent'],
    // No cgroups but those of containers and the root: as podsonar.
    '--docker_only=true',
    ...[`--housekeeping_interval=${interval}`, '--allow_dynamic_housekeeping=false'],
    `--disable_metrics=${cadvisorMetrics.filter((name) => !wanted.includes(name)).join(',')}`,
  ])
}

async function startNodeExporter(): Promise<Running> {
  const folder = await unpackDebian('bookworm', ['prometheus-node-exporter'])
  const [port = 0] = await freePorts(1)
  const collectors = ['sockstat', 'tcpstat', 'netdev'].map((name) => `--collector.${name}`)
  return started('node-exporter', join(folder, 'usr/bin/prometheus-node-exporter'), port, [
    ...['--collector.disable-defaults', ...collectors, `--web.listen-address=127.0.0.1:${port}`],
  ])
}

async function started(
  name: string,
  command: string,
  port: number,
  args: readonly string[],
): Promise<Running> {
  const program = await Process.start(name, command, args)
  return {
    ...{ pid: program.pid, metrics: `http://127.0.0.1:${port}/metrics` },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}
