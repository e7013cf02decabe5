/** What watching requests costs nginx, in windows of one load that goes on: between any two of them nothing is watched. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { startHttpLoad } from '../lab/h2load.ts'
import { servedByNginx } from '../lab/http-servers.ts'
import { processUsage } from '../lab/process-usage.ts'
import type { WatchedCgroup } from '../lab/watched-cgroup.ts'
import { WatchedRequests } from './watched-requests.ts'

/** How a server is watched: not at all, itself, or others only. */
export type Way = 'plain' | 'watched' | 'others watched'

export interface Window {
  readonly way: Way
  /** Requests that nginx answered in it. */
  readonly served: number
  readonly perSecond: number
  /** Processor time of the server for a request, in microseconds. */
  readonly cpuUs: number
  /** Of this process, which reads what is recorded: for a request, and its share of a processor. */
  readonly readerUs: number
  readonly readerShare: number
  /** Requests that were counted, and left out by sampling; 0 where it was not watched. */
  readonly counted: number
  readonly sampledOut: number
  readonly lost: number
  /** Processors that all took who are not the server, its load or this process: 0.1 is a tenth of one. */
  readonly others: number
}

export interface WindowOptions {
  /** Each of them so many times, a plain one before and after each. */
  readonly ways: readonly Exclude<Way, 'plain'>[]
  readonly rounds: number
  readonly windowMs: number
  /** @default as many as the server takes */
  readonly requestsPerSecond?: number
  /** As of {@link WatchedRequests.start}. */
  readonly cpuShare?: number
}

export interface Watchable {
  /** Of the server, and of nothing. */
  readonly cgroup: WatchedCgroup
  readonly others: WatchedCgroup
}

/** From a change to the window: what is seen at first is more than later, and then sampled. */
const settleMs = 500
/** Until the load has found its speed, and the reader is compiled: in an exporter it runs for days. */
const warmUpMs = 4_000

export async function inWindows(
  { cgroup, others }: Watchable,
  port: number,
  { ways, rounds, windowMs, requestsPerSecond, cpuShare }: WindowOptions,
): Promise<Window[]> {
  await using load = await startHttpLoad(port, requestsPerSecond)
  const now = async (): Promise<Moment> => {
    const served = await servedByNginx(port)
    const { user, system } = process.cpuUsage()
    const serverNs = cgroup.cpuNs()
    const ours = serverNs / 1e6 + (user + system) / 1e3 + processUsage(load.pid).cpuMs
    return {
      ...{ served, atMs: performance.now(), serverNs, readerUs: user + system },
      othersMs: busyMs() - ours,
    }
  }
  const measure = async (way: Way): Promise<Window> => {
    await using watching =
      way === 'plain'
        ? undefined
        : await WatchedRequests.start(way === 'watched' ? cgroup : others, { cpuShare })
    await delay(settleMs)
    const seenBefore = await watching?.totals()
    const from = await now()
    await delay(windowMs)
    const seen = await watching?.totals()
    const to = await now()
    if (!load.running) throw new Error(`The load ended: ${load.stderr.slice(-1_000)}`)
    const served = to.served - from.served
    const readerUs = to.readerUs - from.readerUs
    const during = (figure: 'counted' | 'sampledOut' | 'lost'): number =>
      (seen?.[figure] ?? 0) - (seenBefore?.[figure] ?? 0)
    return {
      ...{ way, served, perSecond: (served * 1_000) / (to.atMs - from.atMs) },
      cpuUs: (to.serverNs - from.serverNs) / 1_000 / served,
      readerUs: readerUs / served,
      readerShare: readerUs / 1_000 / (to.atMs - from.atMs),
      others: (to.othersMs - from.othersMs) / (to.atMs - from.atMs),
      ...{ counted: during('counted'), sampledOut: during('sampledOut'), lost: during('lost') },
    }
  }
  {
    await using _watching = await WatchedRequests.start(cgroup, { cpuShare })
    await delay(warmUpMs)
  }
  const windows: Window[] = []
  for (let round = 0; round < rounds; round += 1)
    for (const way of ways) windows.push(await measure('plain'), await measure(way))
  windows.push(await measure('plain'))
  return windows
}

/** Counters at one moment. */
interface Moment {
  readonly served: number
  readonly atMs: number
  readonly serverNs: number
  readonly readerUs: number
  readonly othersMs: number
}

/** Time that all processors were not idle, in milliseconds: /proc/stat, whose unit is a hundredth of a second. */
function busyMs(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
  // user, nice, system, idle, iowait, irq, softirq, steal
  const [user = 0, nice = 0, system = 0, , , ...interrupts] = line.split(/ +/).slice(1, 9).map(Number)
  return [user, nice, system, ...interrupts].reduce((sum, ticks) => sum + ticks * 10, 0)
}
