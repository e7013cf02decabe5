/**
 * `npm run bench -- exporter-soak`: the exporter's memory over 1,000 scrapes of a node whose containers change every second,
 * how long /healthz waits meanwhile, and then a pod with 200,000 sockets. Needs root; takes nine minutes. BENCH_PODS, BENCH_SCRAPES
 * and BENCH_SOCKETS (those of the one pod) make it smaller.
 *
 * containerd, runc and this client compete with the program for the same processors, and a node with 300 pods has more of them. So they
 * are nice to it, across sessions, and the longest turn of the event loop is told as it was, and without the time in which the program could have run
 * but had no processor.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { mapConcurrent } from '../src/common/concurrent.ts'
import { pause } from '../src/common/lifecycle.ts'
import { buildProgram } from '../lab/built-program.ts'
import { Containerd, type LabPod } from '../lab/containerd.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { SocketHolder } from '../lab/network-namespace.ts'
import { processUsage } from '../lab/process-usage.ts'
import { Program } from '../lab/program.ts'
import { waitFor } from '../lab/wait.ts'
import { giveWay, niceAcrossSessions } from './give-way.ts'
import type { BenchResult, BenchRow } from './result.ts'
import { longest, longestUnqueued, WatchedTurns } from './watched-turns.ts'

const pods = Number(process.env['BENCH_PODS'] ?? 300)
const scrapes = Number(process.env['BENCH_SCRAPES'] ?? 1_000)
const socketsInOne = Number(process.env['BENCH_SOCKETS'] ?? 200_000)
/** Sockets on the whole node while its containers change. */
const socketsOnNode = 200 * pods
/** A process may hold 20,000 descriptors. */
const socketsPerHolder = 18_000
/** Of all but the program; what is started inherits it. */
const nice = 10

/** The longest answer and the 99th percentile, in milliseconds. */
interface Waits {
  readonly max: number
  readonly p99: number
}

export async function exporterSoak(): Promise<BenchResult> {
  await using owned = new AsyncDisposableStack()
  owned.use(niceAcrossSessions())
  giveWay(nice)
  const containerd = owned.use(await Containerd.start())
  const names = Array.from({ length: pods }, (_, k) => `pod-${k}`)
  const running = await mapConcurrent(names, 4, (name) => containerd.runPod({ name, namespace: 'bench' }))
  const [first] = running
  if (first === undefined) throw new Error('no pods')
  for (let k = 0; k < running.length; k += 30)
    owned.use(await SocketHolder.connections(100, running.slice(k, k + 30).map(pidOf)))
  const { path } = owned.use(await TemporaryFolder.create('bench'))
  const entry = await buildProgram(path, true)
  const watched = new WatchedTurns(path)
  const settings = { RUNTIME_ENDPOINT: containerd.socket, ...watched.settings }
  giveWay(0)
  const exporter = owned.use(await Program.start(['exporter'], settings, entry))
  giveWay(nice)
  const url = await exporter.url()
  await waitFor('the exporter to be ready', async () => (await fetch(`${url}/readyz`)).ok)

  const rows: BenchRow[] = []
  const add = (what: string, subject: string, value: number, unit: BenchRow['unit']): void => {
    rows.push({ what, subject, value, unit })
  }
  const subject = `${pods} pods, ${socketsOnNode} sockets, a new container a second`
  let churned = 0
  const half: number[] = []
  const began = performance.now()
  const waits = await whileProbing(url, async () => {
    const stop = new AbortController()
    // The first pod stays: it gets the many sockets.
    const churning = churn(containerd, running, stop.signal, () => (churned += 1))
    for (let k = 1; k <= scrapes; k += 1) {
      await scrape(url)
      if (k % Math.ceil(scrapes / 10) === 0) {
        const rss = processUsage(exporter.process.pid).rssBytes / 2 ** 20
        add(`RSS after ${k} scrapes`, subject, rss, 'MiB')
        if (k > scrapes / 2) half.push(rss)
      }
      await delay(200)
    }
    stop.abort()
    await churning
  })
  const churnSeconds = (performance.now() - began) / 1000
  add('containers replaced', subject, churned, 'count')
  add('containers replaced a second', subject, churned / churnSeconds, 'count')
  add('/healthz, longest', subject, waits.max, 'ms')
  add('/healthz, 99th percentile', subject, waits.p99, 'ms')

  const holders = Math.ceil(socketsInOne / socketsPerHolder)
  for (let k = 0; k < holders; k += 1)
    owned.use(await SocketHolder.connections(Math.round(socketsInOne / holders / 2), [pidOf(first)]))
  const one = `${socketsInOne} sockets in one pod`
  const wall: number[] = []
  const manyWaits = await whileProbing(url, async () => {
    for (let k = 0; k < 10; k += 1) {
      const startedAt = performance.now()
      await scrape(url)
      wall.push(performance.now() - startedAt)
    }
  })
  add('scrape, wall, longest of ten', one, Math.max(...wall), 'ms')
  add('/healthz, longest', one, manyWaits.max, 'ms')
  add('RSS', one, processUsage(exporter.process.pid).rssBytes / 2 ** 20, 'MiB')
  const turns = await watched.end(exporter)
  const eventLoopMaxMs = longest(turns, 'wallMs')
  const eventLoopUnqueuedMaxMs = longestUnqueued(turns)
  const ownTurnMaxMs = longest(turns, 'cpuMs')
  const whole = turns.find(({ wallMs }) => wallMs === eventLoopMaxMs)
  const all = 'all of the above'
  add('longest turn of the event loop', all, eventLoopMaxMs, 'ms')
  add('of that, waiting for a processor', all, whole?.queuedMs ?? 0, 'ms')
  add('of that, processors taken by the host', all, whole?.stolenMs ?? 0, 'ms')
  add('longest turn, without waiting for a processor', all, eventLoopUnqueuedMaxMs, 'ms')
  add('most CPU time of its own in one turn', all, ownTurnMaxMs, 'ms')
  return {
    rows,
    ratios: {
      rssMiBAfterChurn: half.at(-1) ?? Number.NaN,
      rssGrowthOverLastHalf: (half.at(-1) ?? Number.NaN) / (half[0] ?? Number.NaN),
      healthzMaxMs: waits.max,
      healthzMaxMs200k: manyWaits.max,
      eventLoopMaxMs,
      eventLoopUnqueuedMaxMs,
      ownTurnMaxMs,
    },
  }
}

/** How many pods are replaced at a time: to replace one takes over a second, if whoever does it gives way to others. */
const lanes = 2

/** Replaces one pod a second, the oldest first, but for the first. */
async function churn(
  containerd: Containerd,
  running: LabPod[],
  signal: AbortSignal,
  onReplaced: () => void,
): Promise<void> {
  const lane = async (first: number): Promise<void> => {
    for (let k = first; !signal.aborted; k += lanes) {
      const [startedAt, at] = [performance.now(), 1 + (k % (running.length - 1))]
      const old = running[at]
      if (old !== undefined) await containerd.removePod(old)
      running[at] = await containerd.runPod({ name: `pod-${at}-${k}`, namespace: 'bench' })
      onReplaced()
      await pause(Math.max(0, lanes * 1_000 - (performance.now() - startedAt)), signal)
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, first) => lane(first)))
}

/** Asks /healthz all the time while something else goes on. */
async function whileProbing(url: string, action: () => Promise<void>): Promise<Waits> {
  const times: number[] = []
  const stop = new AbortController()
  const probing = (async () => {
    while (!stop.signal.aborted) {
      const startedAt = performance.now()
      const response = await fetch(`${url}/healthz`)
      await response.text()
      if (!response.ok) throw new Error(`/healthz answered ${response.status}`)
      times.push(performance.now() - startedAt)
      await delay(10)
    }
  })()
  await action()
  stop.abort()
  await probing
  times.sort((a, b) => a - b)
  return { max: times.at(-1) ?? Number.NaN, p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN }
}

async function scrape(url: string): Promise<void> {
  const response = await fetch(`${url}/metrics`, { headers: { 'x-prometheus-scrape-timeout-seconds': '30' } })
  const failed = /podsonar_collector_success\{collector="(\w+)"\} 0/.exec(await response.text())
  if (failed !== null) throw new Error(`the collector ${failed[1] ?? ''} failed`)
}

function pidOf({ name, containers }: LabPod): number {
  const pid = containers[0]?.pid
  if (pid === undefined) throw new Error(`${name} has no container`)
  return pid
}
