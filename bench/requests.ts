/**
 * What watching requests costs the server that is watched, and whether each request is counted: nginx and etcd (gRPC), with and
 * without, in turn; the counts against nginx's access log, latency against Apache's. Needs root; takes about six minutes.
 */
import { readFile } from 'node:fs/promises'
import { TemporaryFolder } from '../lab/files.ts'
import { loadGrpc, loadHttp, type Load } from '../lab/h2load.ts'
import { startApache, startEtcd, startNginx, type HttpServer } from '../lab/http-servers.ts'
import { libbpfFile, missingFor, prepare } from '../lab/needs.ts'
import { pacedRequests } from '../lab/paced-requests.ts'
import { waitFor } from '../lab/wait.ts'
import { WatchedCgroup } from '../lab/watched-cgroup.ts'
import { silentLogger } from '../src/common/logger.ts'
import { RequestReader } from '../src/exporter/ebpf/request-reader.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'
import { WatchedRequests } from './watched-requests.ts'

const steady = { requestsPerSecond: 20_000, seconds: 2, rounds: 12 }
/** Before each of them: an exporter runs for days, a reader that was just started is still being compiled. */
const warm = { requestsPerSecond: 20_000, seconds: 0.5 }
const saturated = { seconds: 3, rounds: 10 }
const grpc = { seconds: 3, rounds: 5 }
const accurate = { requestsPerSecond: 1_000, seconds: 60 }
const timed = { requestsPerSecond: 1_000, seconds: 20 }

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

/** What is measured, part by part: BENCH_PARTS names some of them. */
const parts = {
  accuracy: measureAccuracy,
  latency: measureLatency,
  cost: measureCost,
  unchosen: measureUnchosen,
  saturated: measureSaturated,
  grpc: measureGrpcLoss,
} as const

export async function requests(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['nginx', 'apache', 'etcd', 'h2load', 'libbpf', 'bpf']))
  const root = missingFor('root')
  if (missing.length > 0 || root !== undefined) throw new Error([root, ...missing].join('; '))
  const wanted = process.env['BENCH_PARTS']?.split(',')
  const rows: BenchRow[] = []
  const ratios: Record<string, number> = {}
  for (const [name, measurePart] of Object.entries(parts)) {
    if (wanted !== undefined && !wanted.includes(name)) continue
    await using folder = await TemporaryFolder.create('bench')
    await using cgroup = await WatchedCgroup.create()
    await using others = await WatchedCgroup.create()
    const part = await measurePart({ cgroup, others, folder: folder.path })
    rows.push(...part.rows)
    Object.assign(ratios, part.ratios)
  }
  return { rows, ratios }
}

async function measureAccuracy(scene: Scene): Promise<BenchResult> {
  const nginx = await startNginx(scene.cgroup, { folder: scene.folder, workers: 1 })
  await using _nginx = nginx.process
  const { served, counted } = await countAccurately(scene, nginx.port, nginx.accessLog)
  const what = `${accurate.requestsPerSecond} requests/s for ${accurate.seconds} s`
  return {
    rows: [
      row(`${what}: in the access log`, 'nginx', served, 'count'),
      row(`${what}: counted with the right status`, 'podsonar', counted, 'count'),
    ],
    ratios: { accurateVsServed: counted / served },
  }
}

/**
 * Durations beside those of Apache's log, which has microseconds, request by request. Apache's end when it writes its log's line,
 * after the response: what others do on its processor in between is in them, and not in ours.
 */
async function measureLatency({ cgroup, folder }: Scene): Promise<BenchResult> {
  const apache = await startApache(cgroup, folder)
  await using _apache = apache.process
  const ours = new Map<string, number>()
  using reader = new RequestReader({
    ...{ libbpf: libbpfFile(), log: silentLogger, maxSeries: 2_000, maxConnections: 20_000 },
    onExchange: (_owner, { traceparent = '', startNs, endNs }) =>
      ours.set(traceparent, (endNs - startNs) / 1e3),
  })
  reader.watch([{ cgroupId: cgroup.id, owner: 'it' }])
  const done = await pacedRequests(apache.port, { ...timed, paths: ['/file', '/missing'] })
  await waitFor('the last ones', () => reader.read(false).series.length > 0 && ours.size >= done)
  const logged = await waitFor('the access log', async () => {
    const lines = (await readFile(apache.accessLog, 'utf8')).trim().split('\n')
    return lines.length >= done && lines.map((line) => line.split(' '))
  })
  const pairs = logged.map(([us, , , traceparent = '']) => ({
    expected: Number(us),
    seen: ours.get(traceparent) ?? Number.NaN,
  }))
  const rows: BenchRow[] = []
  const ratios: Record<string, number> = {}
  for (const [name, share] of [
    ['P50', 0.5],
    ['P99', 0.99],
  ] as const) {
    const of = (figure: (pair: (typeof pairs)[number]) => number): number =>
      percentile(pairs.map(figure), share)
    const [seen, expected] = [of((pair) => pair.seen), of((pair) => pair.expected)]
    rows.push(
      row(`latency, ${name}`, 'apache', expected * 1_000, 'ns'),
      row(`latency, ${name}`, 'podsonar', seen * 1_000, 'ns'),
      row(
        `latency, ${name} of how far a request's two are apart`,
        'both',
        of((pair) => Math.abs(pair.seen - pair.expected)) * 1_000,
        'ns',
      ),
    )
    ratios[`latencyApartUs${name}`] = Math.abs(seen - expected)
    ratios[`latencyVsServer${name}`] = seen / expected
  }
  return { rows, ratios }
}

async function measureCost(scene: Scene): Promise<BenchResult> {
  const nginx = await startNginx(scene.cgroup, { folder: scene.folder, workers: 1 })
  await using _nginx = nginx.process
  const ways: readonly Way[] = ['plain', 'watched', 'others watched']
  // A whole processor for the reader: nothing is left out by sampling, which would make watching cheaper.
  const atRate = await inTurn(
    { ...scene, cpuShare: 1, warmUp: () => loadHttp(nginx.port, warm) },
    ways,
    steady.rounds,
    () => loadHttp(nginx.port, steady),
  )
  const rows = ways.map((way) =>
    row(
      `${steady.requestsPerSecond} requests/s, ${way}: processor time for a request`,
      'nginx',
      mid(atRate[way], 'cpuUs') * 1_000,
      'ns',
    ),
  )
  rows.push(
    row(
      `${steady.requestsPerSecond} requests/s: processor time for a request`,
      'podsonar',
      mid(atRate.watched, 'readerUs') * 1_000,
      'ns',
    ),
    row(
      `${steady.requestsPerSecond} requests/s: requests left out by sampling`,
      'podsonar',
      sum(atRate.watched, 'sampledOut'),
      'count',
    ),
  )
  return {
    rows,
    ratios: {
      cpuUsPerRequest: pairwise(atRate, 'watched', (plain, seen) => seen.cpuUs - plain.cpuUs),
      cpuUsPerUnchosenRequest: pairwise(atRate, 'others watched', (plain, seen) => seen.cpuUs - plain.cpuUs),
      countedVsServed: sum(atRate.watched, 'counted') / sum(atRate.watched, 'done'),
    },
  }
}

/**
 * What a program that is not chosen pays while others are: one that does nothing but send a byte to itself and receive it. It
 * tells nanoseconds that nginx, whose runs differ by hundreds, cannot. A request of nginx is as many calls: one of recvfrom, one
 * of writev (strace -c). Also where requests are seen at the exit of system calls, as on kernels before 6.3.
 */
async function measureUnchosen({ cgroup, others }: Scene): Promise<BenchResult> {
  await using loop = await cgroup.start('loop', 'python3', ['-c', sendAndReceive])
  const told = (): number[] => loop.stdout.trim().split('\n').map(Number)
  const cheapest = async (): Promise<number> => {
    const before = told().length + 1
    await waitFor('rounds of the loop', () => told().length >= before + 6)
    return Math.min(...told().slice(before))
  }
  const plain: number[] = []
  const beside: Record<'socket' | 'syscall', number[]> = { socket: [], syscall: [] }
  for (let round = 0; round < 12; round += 1) {
    plain.push(await cheapest())
    for (const hooks of ['socket', 'syscall'] as const) {
      await using _watching = await WatchedRequests.start(others, { hooks })
      beside[hooks].push(await cheapest())
    }
  }
  const [without, socket, syscall] = [median(plain), median(beside.socket), median(beside.syscall)]
  const what = 'a send and a receive: processor time'
  return {
    rows: [
      row(what, 'nothing attached', without, 'ns'),
      row(what, 'others watched', socket, 'ns'),
      row(what, 'others watched, at system calls', syscall, 'ns'),
    ],
    ratios: {
      cpuUsPerUnchosenRequestOfTwoCalls: (socket - without) / 1_000,
      cpuUsPerUnchosenRequestOfTwoCallsAtSystemCalls: (syscall - without) / 1_000,
    },
  }
}

const sendAndReceive = `
import socket, time
listener = socket.create_server(('127.0.0.1', 0))
a = socket.create_connection(listener.getsockname()); b, _ = listener.accept()
send, receive = a.send, b.recv
while True:
    start = time.thread_time_ns()
    for _ in range(10000):
        send(b'x'); receive(1)
    print((time.thread_time_ns() - start) // 10000, flush=True)
`

async function measureSaturated(scene: Scene): Promise<BenchResult> {
  const nginx = await startNginx(scene.cgroup, { folder: scene.folder, workers: 1 })
  await using _nginx = nginx.process
  const full = await inTurn(scene, ['plain', 'watched'], saturated.rounds, () =>
    loadHttp(nginx.port, saturated),
  )
  return {
    rows: [
      ...(['plain', 'watched'] as const).map((way) =>
        row(`saturated, ${way}: requests/s`, 'nginx', mid(full[way], 'perSecond'), 'count'),
      ),
      row('saturated: requests left out by sampling', 'podsonar', sum(full.watched, 'sampledOut'), 'count'),
      row('saturated: records lost', 'podsonar', sum(full.watched, 'lost'), 'count'),
    ],
    ratios: {
      throughputLoss: pairwise(full, 'watched', (plain, seen) => 1 - seen.perSecond / plain.perSecond),
      saturatedCountedVsServed: sum(full.watched, 'counted') / sum(full.watched, 'done'),
    },
  }
}

async function measureGrpcLoss(scene: Scene): Promise<BenchResult> {
  const calls = await measureGrpc(scene)
  return {
    rows: (['plain', 'watched'] as const).flatMap((way) => [
      row(`gRPC saturated, ${way}: calls/s`, 'etcd', mid(calls[way], 'perSecond'), 'count'),
      row(
        `gRPC saturated, ${way}: processor time for a call`,
        'etcd',
        mid(calls[way], 'cpuUs') * 1_000,
        'ns',
      ),
    ]),
    ratios: {
      grpcThroughputLoss: pairwise(calls, 'watched', (plain, seen) => 1 - seen.perSecond / plain.perSecond),
      grpcCountedVsServed: sum(calls.watched, 'counted') / sum(calls.watched, 'done'),
    },
  }
}

function row(what: string, subject: string, value: number, unit: BenchRow['unit']): BenchRow {
  return { what, subject, value, unit }
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN
}

interface Scene {
  readonly cgroup: WatchedCgroup
  readonly others: WatchedCgroup
  /** For files of servers. */
  readonly folder: string
  /** As of {@link WatchedRequests.start}. */
  readonly cpuShare?: number
  /** A load before each that is measured. */
  readonly warmUp?: () => Promise<Load>
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

async function measure(
  { cgroup, others, cpuShare, warmUp }: Scene,
  way: Way,
  load: () => Promise<Load>,
): Promise<Run> {
  await using watching =
    way === 'plain'
      ? undefined
      : await WatchedRequests.start(way === 'watched' ? cgroup : others, { cpuShare })
  const warmed = (await warmUp?.())?.done ?? 0
  const before = { server: cgroup.cpuNs(), reader: process.cpuUsage() }
  const done = await load()
  const cpuUs = (cgroup.cpuNs() - before.server) / 1_000 / done.done
  const { user, system } = process.cpuUsage(before.reader)
  const all = warmed + done.done
  const reading = await watching?.until(way === 'watched' ? all : 0)
  return {
    ...{ ...done, done: all, cpuUs, readerUs: (user + system) / done.done },
    ...{ counted: reading?.counted ?? 0, sampledOut: reading?.sampledOut ?? 0, lost: reading?.lost ?? 0 },
  }
}

/** Requests of different outcomes at a moderate rate: how many have the status that nginx logged for their path. */
async function countAccurately(
  { cgroup }: Scene,
  port: number,
  accessLog: string,
): Promise<{ served: number; counted: number }> {
  await using watching = await WatchedRequests.start(cgroup)
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

async function measureGrpc(scene: Scene): Promise<Record<Way, Run[]>> {
  const { cgroup, folder } = scene
  const etcd: HttpServer = await startEtcd(cgroup, folder)
  await using _etcd = etcd.process
  return await inTurn(scene, ['plain', 'watched'], grpc.rounds, () =>
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
function pairwise(runs: Record<Way, Run[]>, way: Way, compare: (plain: Run, other: Run) => number): number {
  return median(
    runs.plain.flatMap((plain, at) => {
      const other = runs[way][at]
      return other === undefined ? [] : [compare(plain, other)]
    }),
  )
}
