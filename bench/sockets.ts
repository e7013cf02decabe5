/**
 * What reading the sockets of a whole node costs: our eBPF pass, /proc, ss and sock_diag, on the same sockets in the same
 * run; and what tcp_health costs a storm of connections. Needs root; takes about five minutes.
 */
import { libbpfFile, missingFor, prepare } from '../lab/needs.ts'
import { silentLogger } from '../src/common/logger.ts'
import { EbpfSocketTable } from '../src/exporter/ebpf/socket-table-source.ts'
import { EbpfWorker } from '../src/exporter/ebpf/worker-client.ts'
import { ProcfsTableSource } from '../src/exporter/procfs-table.ts'
import { healthStorm } from './health-storm.ts'
import { SocketScene } from './socket-scene.ts'
import {
  connectionsScrape,
  longestBlock,
  measured,
  readTable,
  sockDiagInEach,
  ssInEach,
  type Cost,
} from './socket-ways.ts'
import type { BenchResult, BenchRow } from './result.ts'

/** CONNECTIONS_MAX_SERIES' default, and more than there are. */
const series = { bounded: 10_000, all: 1_000_000 } as const
const [runs, warmUps] = [15, 8]

export async function sockets(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['containerd', 'libbpf', 'bpf']))
  const root = missingFor('root')
  if (missing.length > 0 || root !== undefined) throw new Error([root, ...missing].join('; '))
  await using worker = new EbpfWorker(silentLogger)
  // With all fields: as it is read for the collectors that are on by default.
  const ebpf = await EbpfSocketTable.open({ worker, libbpf: libbpfFile(), live: true })
  const rows: BenchRow[] = []
  const add = (what: string, subject: string, value: number, unit: BenchRow['unit']): void => {
    rows.push({ what, subject, value, unit })
  }
  const addCost = (what: string, subject: string, { wallMs, cpuMs, leastCpuMs }: Cost): void => {
    add(what, `${subject}, wall`, wallMs, 'ms')
    add(what, `${subject}, CPU`, cpuMs, 'ms')
    if (leastCpuMs !== cpuMs) add(what, `${subject}, CPU, cheapest run`, leastCpuMs, 'ms')
  }
  const table = (scene: SocketScene): Promise<Cost> =>
    measured(runs, () => readTable(ebpf, scene.snapshot), warmUps)

  const onPods = await comparePods(ebpf, add, addCost)

  const least: Record<number, number> = {}
  for (const count of [300, 1_000]) {
    await using scene = await SocketScene.bare(count)
    addCost(`${count} namespaces, no sockets: kernel and aggregation`, 'podsonar eBPF', await table(scene))
    await using _filled = await scene.fill(60_000)
    const cost = await table(scene)
    least[count] = cost.leastCpuMs
    addCost(`${count} namespaces, ${cost.amount} sockets: kernel and aggregation`, 'podsonar eBPF', cost)
  }
  {
    await using scene = await SocketScene.bare(1_000)
    await using _filled = await scene.fill(200_000)
    const cost = await table(scene)
    const what = `1000 namespaces, ${cost.amount} sockets`
    addCost(`${what}: kernel and aggregation`, 'podsonar eBPF', cost)
    const scrape = connectionsScrape(ebpf, scene.snapshot, series.bounded)
    addCost(`${what}: collection`, 'podsonar eBPF', await measured(runs, scrape, warmUps))
    const block = await longestBlock(() => measured(runs, scrape))
    add(`${what}: longest block of the event loop by a collection`, 'podsonar eBPF', block, 'ms')
  }
  const storm = await healthStorm(10, 2)
  add('connection storm, connections for a second of a processor', 'nothing attached', storm.without, 'count')
  add('connection storm, connections for a second of a processor', 'tcp_health', storm.with, 'count')
  add('connection storm, cost of a connection, both ends', 'tcp_health', costNs(storm), 'ns')
  add('connection storm, connections made', 'the storm', storm.made, 'count')
  add('connection storm, connections counted', 'tcp_health', storm.counted, 'count')

  return {
    rows,
    ratios: {
      ...onPods,
      ns1000Vs300: (least[1_000] ?? Number.NaN) / (least[300] ?? Number.NaN),
      stormThroughputLoss: storm.loss,
    },
  }
}

/** 300 real pods, every way. */
async function comparePods(
  ebpf: EbpfSocketTable,
  add: (what: string, subject: string, value: number, unit: BenchRow['unit']) => void,
  addCost: (what: string, subject: string, cost: Cost) => void,
): Promise<Record<string, number>> {
  await using scene = await SocketScene.pods(300)
  await using procfs = new ProcfsTableSource({
    ...{ root: '/proc', inboundPorts: false, onSkipped: () => undefined },
  })
  const { snapshot, pids } = scene
  await using _filled = await scene.fill(60_000)
  const table = await measured(runs, () => readTable(ebpf, snapshot), warmUps)
  const what = `300 pods, ${table.amount} sockets`
  addCost(`${what}: kernel and aggregation`, 'podsonar eBPF', table)
  const ours = await measured(runs, connectionsScrape(ebpf, snapshot, series.bounded), warmUps)
  addCost(`${what}: collection, ${ours.amount} series`, 'podsonar eBPF', ours)
  const all = await measured(runs, connectionsScrape(ebpf, snapshot, series.all), warmUps)
  addCost(`${what}: collection, ${all.amount} series`, 'podsonar eBPF', all)
  const proc = await measured(1, connectionsScrape(procfs, snapshot, series.bounded))
  addCost(`${what}: collection, ${proc.amount} series`, 'podsonar /proc', proc)
  const ss = await ssInEach(pids)
  add(`${what}: reading`, 'ss -Htan in each, wall', ss, 'ms')
  const diag = await sockDiagInEach(pids)
  add(`${what}: reading`, 'sock_diag in each, wall', diag, 'ms')
  return {
    procfsVsEbpfCpu: proc.cpuMs / ours.cpuMs,
    ssVsEbpfWall: ss / table.wallMs,
    sockDiagVsEbpfWall: diag / table.wallMs,
  }
}

/** Processor time that a connection costs more. */
function costNs(storm: { without: number; with: number }): number {
  return 1e9 / storm.with - 1e9 / storm.without
}
