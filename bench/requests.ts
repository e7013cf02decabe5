/**
 * What watching requests costs the server that is watched, and whether each request is counted: nginx in windows of one
 * load, each against the two around it in which nothing is watched; etcd (gRPC) with and without, in turn; the counts against nginx's
 * access log, latency against Apache's. Needs root; takes about nine minutes.
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
import { inWindows, type Way, type Window } from './request-windows.ts'
import { WatchedRequests } from './watched-requests.ts'
import { besidePlain, quieterHalf } from './windows.ts'

const steady = { requestsPerSecond: 20_000, rounds: 20, windowMs: 1_000 }
/** All of whose requests are compared with nginx's count. */
const whole = { requestsPerSecond: 20_000, seconds: 5 }
const saturated = { rounds: 24, windowMs: 500 }
const grpc = { seconds: 3, rounds: 5 }
const accurate = { requestsPerSecond: 1_000, seconds: 60 }
const timed = { requestsPerSecond: 1_000, seconds: 20 }

/** A load of gRPC calls, with and without. */
interface Run extends Load {
  /** Processor time of the server for a call, in microseconds. */
  readonly cpuUs: number
  /** Calls that were counted; 0 when it was not watched. */
  readonly counted: number
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
  // A whole processor for the reader: nothing is left out by sampling, which would make watching cheaper.
  const cpuShare = 1
  const windows = await inWindows(scene, nginx.port, {
    ...{ ...steady, cpuShare, ways: ['watched', 'others watched'] },
  })
  const { served, counted, sampledOut } = await countWhole(scene, nginx.port, cpuShare)
  const cost = `${steady.requestsPerSecond} requests/s: processor time for a request`
  const more = (way: Way): number[] =>
    quieterHalf(besidePlain(windows, way, 'plain', ({ cpuUs }) => cpuUs)).map(
      ({ value, plain }) => value - plain,
    )
  const ways: readonly Way[] = ['plain', 'watched', 'others watched']
  return {
    rows: [
      ...ways.map((way) => row(`${cost}, ${way}`, 'nginx', mid(windows, way, 'cpuUs') * 1_000, 'ns')),
      row(
        `${cost}, by chance: half of the windows differ by more than`,
        ...chance(more('plain'), 1_000, 'ns'),
      ),
      row(cost, 'podsonar', mid(windows, 'watched', 'readerUs') * 1_000, 'ns'),
      row(
        `${whole.requestsPerSecond} requests/s: requests left out by sampling`,
        'podsonar',
        sampledOut + sum(windows, 'sampledOut'),
        'count',
      ),
    ],
    ratios: {
      cpuUsPerRequest: median(more('watched')),
      cpuUsPerUnchosenRequest: median(more('others watched')),
      cpuUsOfNothing: median(more('plain')),
      countedVsServed: counted / served,
    },
  }
}

/** A load from its first request to its last. */
async function countWhole(
  { cgroup }: Scene,
  port: number,
  cpuShare: number,
): Promise<{ served: number; counted: number; sampledOut: number }> {
  await using watching = await WatchedRequests.start(cgroup, { cpuShare })
  const { done } = await loadHttp(port, whole)
  return { served: done, ...(await watching.until(done)) }
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
  const windows = await inWindows(scene, nginx.port, { ...saturated, ways: ['watched'] })
  const losses = (way: Way): number[] =>
    quieterHalf(besidePlain(windows, way, 'plain', ({ perSecond }) => perSecond)).map(
      ({ value, plain }) => 1 - value / plain,
    )
  const watched = windows.filter(({ way }) => way === 'watched')
  return {
    rows: [
      ...(['plain', 'watched'] as const).flatMap((way) => [
        row(`saturated, ${way}: requests/s`, 'nginx', mid(windows, way, 'perSecond'), 'count'),
        row(
          `saturated, ${way}: processor time for a request`,
          'nginx',
          mid(windows, way, 'cpuUs') * 1_000,
          'ns',
        ),
      ]),
      row(
        'saturated, by chance: half of the windows differ by more than',
        ...chance(losses('plain'), 100, 'percent'),
      ),
      row(
        'saturated: processor time of reading',
        'podsonar',
        mid(windows, 'watched', 'readerShare') * 100,
        'percent',
      ),
      row(
        'saturated: processor time of others, half of the windows',
        'the machine',
        mid(windows, 'plain', 'others') * 100,
        'percent',
      ),
      row('saturated: requests of watched windows', 'nginx', sum(watched, 'served'), 'count'),
      row('saturated: requests left out by sampling', 'podsonar', sum(watched, 'sampledOut'), 'count'),
      row('saturated: records lost', 'podsonar', sum(watched, 'lost'), 'count'),
    ],
    ratios: {
      throughputLoss: median(losses('watched')),
      throughputLossOfNothing: median(losses('plain')),
      saturatedCountedVsServed: sum(watched, 'counted') / sum(watched, 'served'),
    },
  }
}

async function measureGrpcLoss(scene: Scene): Promise<BenchResult> {
  const calls = await measureGrpc(scene)
  return {
    rows: (['plain', 'watched'] as const).flatMap((way) => [
      row(
        `gRPC saturated, ${way}: calls/s`,
        'etcd',
        median(calls[way].map(({ perSecond }) => perSecond)),
        'count',
      ),
      row(
        `gRPC saturated, ${way}: processor time for a call`,
        'etcd',
        median(calls[way].map(({ cpuUs }) => cpuUs)) * 1_000,
        'ns',
      ),
    ]),
    ratios: {
      grpcThroughputLoss: median(
        calls.plain.map(({ perSecond }, at) => 1 - (calls.watched[at]?.perSecond ?? Number.NaN) / perSecond),
      ),
      grpcCountedVsServed:
        calls.watched.reduce((all, { counted }) => all + counted, 0) /
        calls.watched.reduce((all, { done }) => all + done, 0),
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

/** Rounds of both ways, whose order changes from round to round: a machine's speed drifts. */
async function measureGrpc({ cgroup, folder }: Scene): Promise<Record<'plain' | 'watched', Run[]>> {
  const etcd: HttpServer = await startEtcd(cgroup, folder)
  await using _etcd = etcd.process
  const load = (): Promise<Load> => loadGrpc(etcd.port, { ...grpc, folder })
  const runs: Record<'plain' | 'watched', Run[]> = { plain: [], watched: [] }
  const measure = async (way: 'plain' | 'watched'): Promise<Run> => {
    await using watching = way === 'plain' ? undefined : await WatchedRequests.start(cgroup)
    const before = cgroup.cpuNs()
    const done = await load()
    const cpuUs = (cgroup.cpuNs() - before) / 1_000 / done.done
    const reading = await watching?.until(done.done)
    return { ...done, cpuUs, counted: reading?.counted ?? 0 }
  }
  await waitFor('a first load, which is slower', load)
  for (let round = 0; round < grpc.rounds; round += 1)
    for (const way of round % 2 === 0 ? (['plain', 'watched'] as const) : (['watched', 'plain'] as const))
      runs[way].push(await measure(way))
  return runs
}

type Averaged = 'cpuUs' | 'readerUs' | 'readerShare' | 'perSecond' | 'others'

function mid(windows: readonly Window[], way: Way, figure: Averaged): number {
  return median(windows.filter((window) => window.way === way).map((window) => window[figure]))
}

function sum(windows: readonly Window[], figure: 'counted' | 'served' | 'sampledOut' | 'lost'): number {
  return windows.reduce((total, window) => total + window[figure], 0)
}

/** Of a row: how far windows in which nothing is different are apart. */
function chance(
  differences: readonly number[],
  factor: number,
  unit: BenchRow['unit'],
): [subject: string, value: number, unit: BenchRow['unit']] {
  return ['nginx', median(differences.map(Math.abs)) * factor, unit]
}
