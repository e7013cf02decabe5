/** The ways of reading a node's sockets that the socket benchmark compares, each measured as it is used. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { run } from '../lab/process.ts'
import { connectionsCollector } from '../src/exporter/collectors/connections.ts'
import type { Snapshot } from '../src/exporter/core/containers.ts'
import { Cgroupfs } from '../src/exporter/cgroupfs.ts'
import { LabelMaker } from '../src/exporter/core/labels.ts'
import type { SocketTableSource } from '../src/exporter/core/socket-table.ts'
import { NestedCgroups } from '../src/exporter/nested-cgroups.ts'
import { SharedTable } from '../src/exporter/shared-table.ts'
import { median } from './result.ts'

/** One measurement, in milliseconds. */
export interface Cost {
  readonly wallMs: number
  /** User and system time of the whole process, worker threads and kernel included. */
  readonly cpuMs: number
  /** That of the cheapest run: what other work on the machine adds is not in it. */
  readonly leastCpuMs: number
  /** What was read: sockets, or series. */
  readonly amount: number
}

/** Medians over `runs` runs, after as many as it takes for V8 to have compiled what is measured. */
export async function measured(runs: number, once: () => Promise<number>, warmUps = 0): Promise<Cost> {
  for (let k = 0; k < warmUps; k += 1) await once()
  const costs: Cost[] = []
  for (let k = 0; k < runs; k += 1) {
    const cpu = process.cpuUsage()
    const startedAt = performance.now()
    const amount = await once()
    const wallMs = performance.now() - startedAt
    const { user, system } = process.cpuUsage(cpu)
    const cpuMs = (user + system) / 1_000
    costs.push({ wallMs, cpuMs, leastCpuMs: cpuMs, amount })
  }
  const middle = (pick: (cost: Cost) => number): number => median(costs.map(pick))
  return {
    wallMs: middle(({ wallMs }) => wallMs),
    cpuMs: middle(({ cpuMs }) => cpuMs),
    leastCpuMs: Math.min(...costs.map(({ cpuMs }) => cpuMs)),
    amount: middle(({ amount }) => amount),
  }
}

/** Kernel and aggregation. Gives the number of sockets. */
export async function readTable(source: SocketTableSource, { namespaces }: Snapshot): Promise<number> {
  const { rows } = await source.read(namespaces, AbortSignal.timeout(600_000))
  return rows
}

/**
 * The whole of what a scrape of `connections` takes: kernel, aggregation, bounds and text.
 *
 * @returns a function that does it once and gives the number of series
 */
export function connectionsScrape(
  source: SocketTableSource,
  snapshot: Snapshot,
  maxSeries: number,
): () => Promise<number> {
  const collector = connectionsCollector({
    table: new SharedTable(source, AbortSignal.timeout(3_600_000)),
    labels: new LabelMaker(),
    nested: new NestedCgroups(new Cgroupfs('/sys/fs/cgroup')),
    node: 'bench',
    bounds: { maxSeriesPerPod: Math.max(100, maxSeries / 100), maxSeries },
    onFolded: () => undefined,
  })
  return async () => {
    const families = await collector.collect(snapshot, AbortSignal.timeout(600_000))
    const bytes = families.reduce((sum, { lines }) => sum + lines.length, 0)
    if (bytes === 0) return 0
    for (const family of families) family.release()
    return families.reduce((sum, { size }) => sum + size, 0)
  }
}

/** The longest time for which the event loop did nothing else while `action` ran, in milliseconds. */
export async function longestBlock(action: () => Promise<unknown>): Promise<number> {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  await action()
  delays.disable()
  return delays.max / 1e6
}

/** `ss -Htan` in each namespace, as by hand. Gives the milliseconds that it took. */
export async function ssInEach(pids: readonly number[]): Promise<number> {
  const startedAt = performance.now()
  const script = 'for pid; do nsenter --target "$pid" --net ss -Htan; done | wc -l'
  await run('sh', ['-c', script, 'sh', ...pids.map(String)])
  return performance.now() - startedAt
}

/** sock_diag(7) in each namespace, from one process. Gives the milliseconds that it took, without its start. */
export async function sockDiagInEach(pids: readonly number[]): Promise<number> {
  const program = fileURLToPath(new URL('../lab/sock-diag.ts', import.meta.url))
  const { wallMs } = JSON.parse(await run(process.execPath, [program, ...pids.map(String)])) as {
    wallMs: number
  }
  return wallMs
}
