/**
 * What watching requests costs the server that is watched, and whether each request is counted: nginx and etcd (gRPC), with and
 * without, in turn; the counts against nginx's access log. Needs root; takes about five minutes.
 */
import { readFile } from 'node:fs/promises'
import { TemporaryFolder } from '../lab/files.ts'
import { loadGrpc, loadHttp, type Load } from '../lab/h2load.ts'
import { startEtcd, startNginx, type HttpServer } from '../lab/http-servers.ts'
import { libbpfFile, missingFor, prepare } from '../lab/needs.ts'
import { waitFor } from '../lab/wait.ts'
import { WatchedCgroup } from '../lab/watched-cgroup.ts'
import { silentLogger } from '../src/common/logger.ts'
import type { RequestReading } from '../src/exporter/ebpf/request-reader.ts'
import { EbpfWorker } from '../src/exporter/ebpf/worker-client.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

const steady = { requestsPerSecond: 20_000, seconds: 4, rounds: 5 }
const saturated = { seconds: 3, rounds: 10 }
const grpc = { seconds: 3, rounds: 5 }
const accurate = { requestsPerSecond: 1_000, seconds: 60 }

/** How a server is watched while it is measured: not at all, itself, or others only. */
type Way = 'plain' | 'watched' | 'others watched'

interface Run extends Load {
  /** Processor time of the server for a request, in microseconds. */
  readonly cpuUs: number
  /** Of this process, which reads what is recorded. */
  readonly readerUs: number
  /** Requests that were counted, and left out by sampling; 0 when it was not watched. */
  readonly counted: number
  readonly sampledOut: number
  readonly lost: number
}

export async function requests(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['nginx', 'etcd', 'h2load', 'libbpf', 'bpf']))
  const root = missingFor('root')
  if (missing.length > 0 || root !== undefined) throw new Error([root, ...missing].join('; '))
  const rows: BenchRow[] = []
  const add = (what: string, subject: string, value: number, unit: BenchRow['unit']): void => {
    rows.push({ what, subject, value, unit })
  }
  await using folder = await TemporaryFolder.create('bench')
  await using cgroup = await WatchedCgroup.create()
  await using others = await WatchedCgroup.create()
  const nginx = await startNginx(cgroup, { folder: folder.path, workers: 1 })
  await using _nginx = nginx.process
  const scene: Scene = { cgroup, others }

  const accuracy = await countAccurately(scene, nginx.port, nginx.accessLog)
  const what = `${accurate.requestsPerSecond} requests/s for ${accurate.seconds} s`
  add(`${what}: in the access log`, 'nginx', accuracy.served, 'count')
  add(`${what}: counted with the right status`, 'podsonar', accuracy.counted, 'count')

  const httpLoad = (options: { seconds: number; requestsPerSecond?: number }) => (): Promise<Load> =>
    loadHttp(nginx.port, options)
  const ways: readonly Way[] = ['plain', 'watched', 'others watched']
  const atRate = await inTurn(scene, ways, steady.rounds, httpLoad(steady))
  for (const way of ways) {
    const at = `${steady.requestsPerSecond} requests/s, ${way}`
    add(`${at}: processor time for a request`, 'nginx', mid(atRate[way], 'cpuUs') * 1_000, 'ns')
  }
  add(
    `${steady.requestsPerSecond} requests/s: processor time for a request`,
    'podsonar',
    mid(atRate.watched, 'readerUs') * 1_000,
    'ns',
  )

  const full = await inTurn(scene, ['plain', 'watched'], saturated.rounds, httpLoad(saturated))
  for (const way of ['plain', 'watched'] as const)
    add(`saturated, ${way}: requests/s`, 'nginx', mid(full[way], 'perSecond'), 'count')
  add('saturated: requests left out by sampling', 'podsonar', sum(full.watched, 'sampledOut'), 'count')
  add('saturated: records lost', 'podsonar', sum(full.watched, 'lost'), 'count')

  const calls = await measureGrpc(scene, folder.path)
  for (const way of ['plain', 'watched'] as const) {
    add(`gRPC saturated, ${way}: calls/s`, 'etcd', mid(calls[way], 'perSecond'), 'count')
    add(`gRPC saturated, ${way}: processor time for a call`, 'etcd', mid(calls[way], 'cpuUs') * 1_000, 'ns')
  }
  const watched = [...atRate.watched, ...full.watched]
  return {
    rows,
    ratios: {
      throughputLoss: pairwise(full, (plain, seen) => 1 - seen.perSecond / plain.perSecond),
      cpuUsPerRequest: pairwise(atRate, (plain, seen) => seen.cpuUs - plain.cpuUs),
      cpuUsPerUnchosenRequest: median(
        atRate.plain.map(({ cpuUs }, at) => (atRate['others watched'][at]?.cpuUs ?? Number.NaN) - cpuUs),
      ),
      grpcThroughputLoss: pairwise(calls, (plain, seen) => 1 - seen.perSecond / plain.perSecond),
      countedVsServed: sum(watched, 'counted') / sum(watched, 'done'),
      grpcCountedVsServed: sum(calls.watched, 'counted') / sum(calls.watched, 'done'),
      accurateVsServed: accuracy.counted / accuracy.served,
    },
  }
}

interface Scene {
  readonly cgroup: WatchedCgroup
  readonly others: WatchedCgroup
}

/** Rounds of all ways, whose order changes from round to round: a machine's speed drifts. */
async function inTurn(
  scene: Scene,
  ways: readonly Way[],
  rounds: number,
  load: () => Promise<Load>,
): Promise<Record<Way, Run[]>> {
  const runs: Record<Way, Run[]> = { plain: [], watched: [], 'others watched': [] }
  await waitFor('a first load, which is slower', load)
  for (let round = 0; round < rounds; round += 1)
    for (const way of round % 2 === 0 ? ways : ways.toReversed())
      runs[way].push(await measure(scene, way, load))
  return runs
}

async function measure({ cgroup, others }: Scene, way: Way, load: () => Promise<Load>): Promise<Run> {
  await using watching =
    way === 'plain' ? undefined : await Watching.start(way === 'watched' ? cgroup : others)
  const before = { server: cgroup.cpuNs(), reader: process.cpuUsage() }
  const done = await load()
  const cpuUs = (cgroup.cpuNs() - before.server) / 1_000 / done.done
  const { user, system } = process.cpuUsage(before.reader)
  const reading = await watching?.until(way === 'watched' ? done.done : 0)
  return {
    ...{ ...done, cpuUs, readerUs: (user + system) / done.done },
    ...{ counted: reading?.counted ?? 0, sampledOut: reading?.sampledOut ?? 0, lost: reading?.lost ?? 0 },
  }
}

/** The programs and their reader, as the exporter runs them: in a thread of their own. */
class Watching implements AsyncDisposable {
  readonly #worker = new EbpfWorker(silentLogger)

  static async start(cgroup: WatchedCgroup): Promise<Watching> {
    const watching = new Watching()
    const options = { libbpf: libbpfFile(), maxSeries: 2_000, maxConnections: 20_000, cpuShare: 0.1 }
    await watching.#worker.call('openRequests', options)
    await watching.#worker.call('watchRequests', {
      cgroups: [{ cgroupId: cgroup.id, owner: 'it' }],
      libraries: [],
    })
    return watching
  }

  /** What was counted, HTTP and gRPC. */
  async read(): Promise<RequestReading> {
    const readings = await Promise.all(
      [false, true].map((calls) => this.#worker.call('readRequests', { calls })),
    )
    const [http, rpc] = readings
    if (http === undefined || rpc === undefined) throw new Error('no reading')
    return { ...http, series: [...http.series, ...rpc.series] }
  }

  /** Waits a moment for the last ones of `expected`, but takes what is there. */
  async until(expected: number): Promise<{ counted: number; sampledOut: number; lost: number }> {
    let last = { counted: 0, sampledOut: 0, lost: 0 }
    await waitFor(
      'all requests',
      async () => {
        const { series, sampledOut, lost } = await this.read()
        last = { counted: countOf(series), sampledOut, lost }
        return last.counted >= expected
      },
      { timeoutMs: 1_000 },
    ).catch(() => undefined)
    return last
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#worker[Symbol.asyncDispose]()
  }
}

function countOf(series: RequestReading['series']): number {
  return series.reduce((total, { buckets }) => total + buckets.reduce((all, value) => all + value, 0), 0)
}

/** Requests of different outcomes at a moderate rate: how many have the status that nginx logged for their path. */
async function countAccurately(
  { cgroup }: Scene,
  port: number,
  accessLog: string,
): Promise<{ served: number; counted: number }> {
  await using watching = await Watching.start(cgroup)
  const paths = ['/', '/status/s201', '/status/s404', '/status/s500', '/users/1/posts']
  const { done } = await loadHttp(port, { ...accurate, paths })
  await watching.until(done)
  const counted = new Map<string, number>()
  for (const { labels, buckets } of (await watching.read()).series) {
    const label = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(labels)?.[1] ?? ''
    counted.set(
      `${label('http_response_status_code')} ${label('http_request_method')} ${label('http_route')}`,
      buckets.reduce((all, value) => all + value, 0),
    )
  }
  const logged = new Map<string, number>()
  await waitFor('the access log', async () => {
    logged.clear()
    for (const line of (await readFile(accessLog, 'utf8')).trim().split('\n')) {
      const key = line.replace('/users/1/', '/users/{number}/')
      logged.set(key, (logged.get(key) ?? 0) + 1)
    }
    return [...logged.values()].reduce((all, value) => all + value, 0) >= done
  })
  const served = [...logged.values()].reduce((all, value) => all + value, 0)
  const right = [...logged].reduce((all, [key, value]) => all + Math.min(value, counted.get(key) ?? 0), 0)
  return { served, counted: right }
}

async function measureGrpc({ others }: Scene, folder: string): Promise<Record<Way, Run[]>> {
  await using cgroup = await WatchedCgroup.create()
  const etcd: HttpServer = await startEtcd(cgroup, folder)
  await using _etcd = etcd.process
  return await inTurn({ cgroup, others }, ['plain', 'watched'], grpc.rounds, () =>
    loadGrpc(etcd.port, { ...grpc, folder }),
  )
}

function mid(runs: readonly Run[], figure: 'cpuUs' | 'readerUs' | 'perSecond'): number {
  return median(runs.map((run) => run[figure]))
}

function sum(runs: readonly Run[], figure: 'counted' | 'done' | 'sampledOut' | 'lost'): number {
  return runs.reduce((total, run) => total + run[figure], 0)
}

/** The median over rounds of a comparison within each. */
function pairwise(runs: Record<Way, Run[]>, compare: (plain: Run, watched: Run) => number): number {
  return median(
    runs.plain.flatMap((plain, at) => {
      const watched = runs.watched[at]
      return watched === undefined ? [] : [compare(plain, watched)]
    }),
  )
}
