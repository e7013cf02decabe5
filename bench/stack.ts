/**
 * What timing packets costs: throughput of iperf3 over loopback and from pod to pod, and processor time of small packets;
 * not watched, watched, and while another network namespace is watched, in turn. Needs root; takes about three minutes.
 */
import { Containerd } from '../lab/containerd.ts'
import { IperfServer, sendBulk, type IperfOptions, type Throughput } from '../lab/iperf.ts'
import { libbpfFile, missingFor, prepare } from '../lab/needs.ts'
import { BareNamespaces, networkNamespace } from '../lab/network-namespace.ts'
import { silentLogger } from '../src/common/logger.ts'
import { StackReader } from '../src/exporter/ebpf/stack-reader.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

const pairs = 10
const bulk: IperfOptions = { seconds: 2 }
const small: IperfOptions = { seconds: 1, datagramBytes: 64 }

const ways = ['not watched', 'watched', 'another watched'] as const
type Way = (typeof ways)[number]
type Runs = Readonly<Record<Way, Throughput[]>>

/** From where traffic comes and where it goes. */
interface Path {
  readonly pid: number
  readonly address: string
}

export async function stack(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['containerd', 'iperf3', 'libbpf', 'bpf']))
  const root = missingFor('root')
  if (missing.length > 0 || root !== undefined) throw new Error([root, ...missing].join('; '))
  await using containerd = await Containerd.start()
  const server = await containerd.runPod({ name: 'server' })
  const client = await containerd.runPod({ name: 'client' })
  await using others = await BareNamespaces.create(1)
  const [serverPid, clientPid] = [server, client].map(({ containers: [first] }) => first?.pid ?? 0)
  const [otherPid] = others.pids
  if (serverPid === undefined || clientPid === undefined || otherPid === undefined)
    throw new Error('no process')
  await using _server = await IperfServer.start(serverPid)
  const watched: Readonly<Record<Way, number | undefined>> = {
    'not watched': undefined,
    watched: networkNamespace(serverPid),
    'another watched': networkNamespace(otherPid),
  }
  const loopback: Path = { pid: serverPid, address: '127.0.0.1' }
  const veth: Path = { pid: clientPid, address: server.ip }

  const onLoopback = await inTurn(loopback, bulk, watched)
  const onVeth = await inTurn(veth, bulk, watched)
  const datagrams = await inTurn(loopback, small, watched)

  const rows: BenchRow[] = []
  for (const [subject, runs] of Object.entries({ loopback: onLoopback, veth: onVeth }))
    for (const way of ways) {
      const value = median(runs[way].map(({ bitsPerSecond }) => bitsPerSecond)) / 8 / 2 ** 20
      rows.push({ what: `throughput a second, ${way}`, subject, value, unit: 'MiB' })
    }
  for (const way of ways)
    rows.push({
      what: `processor time for a datagram, ${way}`,
      subject: 'loopback',
      value: median(datagrams[way].map(nsPerDatagram)),
      unit: 'ns',
    })
  return {
    rows,
    ratios: {
      throughputLoss: Math.max(loss(onLoopback, 'watched'), loss(onVeth, 'watched')),
      throughputLossLoopback: loss(onLoopback, 'watched'),
      throughputLossVeth: loss(onVeth, 'watched'),
      throughputLossOthers: Math.max(loss(onLoopback, 'another watched'), loss(onVeth, 'another watched')),
      throughputLossOthersLoopback: loss(onLoopback, 'another watched'),
      throughputLossOthersVeth: loss(onVeth, 'another watched'),
      nsPerPacket: more(datagrams, 'watched'),
      nsPerPacketOfOthers: more(datagrams, 'another watched'),
    },
  }
}

/** Rounds of all ways, whose order changes from round to round: a machine's speed drifts. */
async function inTurn(
  { pid, address }: Path,
  options: IperfOptions,
  watched: Readonly<Record<Way, number | undefined>>,
): Promise<Runs> {
  const runs: Runs = { 'not watched': [], watched: [], 'another watched': [] }
  await sendBulk(pid, address, { ...options, seconds: 1 }) // a first one is slower
  for (let round = 0; round < pairs; round += 1)
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const namespace = watched[way]
      using reader =
        namespace === undefined ? undefined : new StackReader({ log: silentLogger, libbpf: libbpfFile() })
      if (namespace !== undefined) reader?.watch([namespace])
      runs[way].push(await sendBulk(pid, address, options))
    }
  return runs
}

/** Share of the throughput that is lost: median over pairs. */
function loss(runs: Runs, way: Way): number {
  return median(
    runs['not watched'].map(
      ({ bitsPerSecond }, pair) => 1 - (runs[way][pair]?.bitsPerSecond ?? Number.NaN) / bitsPerSecond,
    ),
  )
}

function nsPerDatagram({ cpuSeconds, datagrams }: Throughput): number {
  return (cpuSeconds * 1e9) / datagrams
}

/** Processor time that a datagram costs more, in nanoseconds: median over pairs. */
function more(runs: Runs, way: Way): number {
  return median(
    runs['not watched'].map((plain, pair) => {
      const other = runs[way][pair]
      return other === undefined ? Number.NaN : nsPerDatagram(other) - nsPerDatagram(plain)
    }),
  )
}
