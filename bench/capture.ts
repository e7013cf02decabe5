/**
 * What a capture costs beside tcpdump alone, at 1 Gbit/s into a real pod: into a file, which tcpdump writes itself, and
 * relayed by an exporter over HTTP. Needs root; takes about three minutes.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { Containerd } from '../lab/containerd.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { missingFor, prepare, unpackedEnvironment } from '../lab/needs.ts'
import { Process } from '../lab/process.ts'
import { processUsage } from '../lab/process-usage.ts'
import { entry, Program } from '../lab/program.ts'
import { runIperf, startIperfServer } from '../lab/iperf.ts'
import { waitFor } from '../lab/wait.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

/** Seconds of traffic, and how often each way has its turn. */
const [seconds, rounds] = [10, 3]
const bufferKiB = 65_536
const token = createHash('sha256').update('bench').digest('hex')

/** What one capture came to. */
interface Run {
  readonly cpuMs: number
  readonly bytes: number
  readonly received: number
  readonly dropped: number
  readonly mbitPerSecond: number
}

export async function capture(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['containerd', 'tcpdump', 'iperf3']))
  const root = missingFor('root')
  if (missing.length > 0 || root !== undefined) throw new Error([root, ...missing].join('; '))
  await using containerd = await Containerd.start()
  await using folder = await TemporaryFolder.create('bench')
  const pod = await containerd.runPod({ name: 'web' })
  const pid = pod.containers[0]?.pid ?? Number.NaN
  await using _server = await startIperfServer(pid)
  const env = { ...process.env, ...unpackedEnvironment('tcpdump'), RUNTIME_ENDPOINT: containerd.socket }
  const file = join(folder.path, 'web.pcap')
  const traffic = (): Promise<number> => runIperf(pod.ip, ['-b', '1G', '-t', String(seconds)])

  const alone = (): Promise<Run> =>
    intoFile(file, traffic, () =>
      Process.start(
        'tcpdump',
        'nsenter',
        [
          ...[`--net=/proc/${pid}/ns/net`, '--', 'tcpdump', '-i', 'any', '-n', '-p', '-Z', 'root'],
          ...['-B', String(bufferKiB), '-w', file, 'tcp'],
        ],
        { env },
      ),
    )
  const handed = (): Promise<Run> =>
    intoFile(file, traffic, () =>
      Process.start('podsonar', entry, ['capture', 'web', 'tcp', '-w', file], { env }),
    )
  const relay = (): Promise<Run> => relayed(folder.path, env, traffic)

  const ways = { 'tcpdump -w FILE': alone, 'podsonar -w FILE': handed, 'podsonar relayed': relay }
  const runs = new Map<string, Run[]>(Object.keys(ways).map((name) => [name, []]))
  for (let round = 0; round < rounds; round += 1)
    for (const [name, way] of Object.entries(ways)) runs.get(name)?.push(await way())

  const middle = (name: string, pick: (run: Run) => number): number =>
    median((runs.get(name) ?? []).map(pick))
  /** Of the processor, for what passed. */
  const cost = (name: string): number => middle(name, ({ cpuMs, bytes }) => cpuMs / (bytes / 1e9))
  const rows = Object.keys(ways).flatMap((name): BenchRow[] => {
    const row = (what: string, value: number, unit: BenchRow['unit']): BenchRow => ({
      what,
      subject: name,
      value,
      unit,
    })
    return [
      row(
        'traffic, Mbit/s',
        middle(name, ({ mbitPerSecond }) => mbitPerSecond),
        'count',
      ),
      row('captured', middle(name, ({ bytes }) => bytes) / 2 ** 20, 'MiB'),
      row(
        'CPU',
        middle(name, ({ cpuMs }) => cpuMs),
        'ms',
      ),
      row('CPU for a gigabyte', cost(name), 'ms'),
      row('dropped', 100 * middle(name, ({ received, dropped }) => dropped / received), 'percent'),
    ]
  })
  return {
    rows,
    ratios: {
      cpuVsTcpdump: cost('podsonar -w FILE') / cost('tcpdump -w FILE'),
      cpuVsTcpdumpRelayed: cost('podsonar relayed') / cost('tcpdump -w FILE'),
    },
  }
}

/** A capture by a process that ends with SIGINT and tells its statistics on stderr. */
async function intoFile(
  file: string,
  traffic: () => Promise<number>,
  start: () => Promise<Process>,
): Promise<Run> {
  await using capturing = await start()
  await waitFor('the capture to begin', () => {
    if (!capturing.running) throw new Error(capturing.stderr)
    return treeOf(capturing.pid).some((pid) =>
      /socket:\[\d+\]/.test(readFileSync(`/proc/${pid}/maps`, 'utf8')),
    )
  })
  // What starting costs is told by `bench start`.
  const before = cpuOf(capturing.pid)
  const bitsPerSecond = await traffic()
  const size = async (): Promise<number> => (await stat(file)).size
  await settled(size)
  const cpuMs = cpuOf(capturing.pid) - before
  capturing.kill('SIGINT')
  await capturing.exited
  const figures = (pattern: RegExp): number => Number(pattern.exec(capturing.stderr)?.[1])
  const dropped = figures(/(\d+) (?:packets? )?dropped by (?:the )?kernel/)
  const received = figures(/(\d+) packets received/) || figures(/(\d+) packets, /)
  return { cpuMs, bytes: await size(), received, dropped, mbitPerSecond: bitsPerSecond / 1e6 }
}

/** A capture by an exporter, whose stream is counted and thrown away. */
async function relayed(folder: string, env: NodeJS.ProcessEnv, traffic: () => Promise<number>): Promise<Run> {
  const tokenFile = join(folder, 'token')
  await writeFile(tokenFile, token)
  await using exporter = await Program.start(['exporter'], {
    ...{ PATH: env['PATH'] ?? '', LD_LIBRARY_PATH: env['LD_LIBRARY_PATH'] ?? '' },
    ...{
      RUNTIME_ENDPOINT: env['RUNTIME_ENDPOINT'] ?? '',
      COLLECTORS: 'sockstat',
      CONNECTIONS_SOURCE: 'procfs',
    },
    ...{ CAPTURE: 'true', CAPTURE_TOKEN_FILE: tokenFile, CAPTURE_MAX_BYTES: '10000000000' },
  })
  const url = `${await exporter.url()}/api/v1/capture?namespace=default&pod=web&filter=tcp&seconds=${3 * seconds}`
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { headers: { authorization: `Bearer ${token}` } }, resolve)
      .on('error', reject)
      .end()
  })
  if (response.statusCode !== 200) throw new Error(`The exporter answered ${response.statusCode ?? 0}`)
  let bytes = 0
  response.on('data', (chunk: Buffer) => (bytes += chunk.length))
  const ended = new Promise((resolve) => response.once('end', resolve))
  const { pid } = exporter.process
  const before = cpuOf(pid)
  const bitsPerSecond = await traffic()
  await settled(() => Promise.resolve(bytes))
  const cpuMs = cpuOf(pid) - before
  exporter.process.kill('SIGTERM')
  await ended
  const figure = (name: string): number => Number(response.trailers[`x-capture-${name}`])
  const statistics = { received: figure('received'), dropped: figure('dropped') }
  return { ...statistics, cpuMs, bytes, mbitPerSecond: bitsPerSecond / 1e6 }
}

/** Waits until a size grows no more: the kernel hands packets over once a second at the latest. */
async function settled(size: () => Promise<number>): Promise<void> {
  let [last, since] = [-1, performance.now()]
  await waitFor('the last packets', async () => {
    const now = await size()
    if (now !== last) [last, since] = [now, performance.now()]
    return performance.now() - since > 1_500
  })
}

/** A process and its children. */
function treeOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => treeOf(Number(child))))]
}

function cpuOf(pid: number): number {
  return treeOf(pid).reduce((sum, one) => sum + processUsage(one).cpuMs, 0)
}
