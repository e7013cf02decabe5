/**
 * What timing packets costs: throughput of iperf3 over loopback and from pod to pod, and processor time of small packets.
 * One stream runs all the time; in windows that take turns it is not watched, watched, or another network namespace is
 * watched, and not watched once more: what that differs from the first is chance. Sender and receiver share a processor:
 * throughput then is what its time allows, and hardly hangs on chance. With one each, as far as there are two, it does.
 * Needs root; takes about three minutes.
 */
import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { Containerd } from '../lab/containerd.ts'
import { IperfServer, IperfStream, type IperfOptions } from '../lab/iperf.ts'
import { libbpfFile, missingFor, prepare } from '../lab/needs.ts'
import { BareNamespaces, interfaceCounters, networkNamespace } from '../lab/network-namespace.ts'
import { silentLogger } from '../src/common/logger.ts'
import { StackReader } from '../src/exporter/ebpf/stack-reader.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'

const pairs = 16
const windowMs = 300
/** From the change of what is watched to the window. */
const settleMs = 100
const shared: IperfOptions = { processors: [0, 0] }
const apart: IperfOptions = { processors: [0, cpus().length > 1 ? 1 : 0] }

const ways = ['not watched', 'watched', 'another watched', 'not watched again'] as const
type Way = (typeof ways)[number]
type Runs = Readonly<Record<Way, Flow[]>>

/** What went through in one window. */
interface Flow {
  readonly bytesPerMs: number
  /** Processor time of sender and receiver for a packet. */
  readonly nsPerPacket: number
}

/** From where traffic comes, where it goes, and the receiver's interface on the way. */
interface Path {
  readonly pid: number
  readonly address: string
  readonly interfaceName: string
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
  await using receiver = await IperfServer.start(serverPid)
  const scene = { receiver, serverPid, otherPid }
  const loopback: Path = { pid: serverPid, address: '127.0.0.1', interfaceName: 'lo' }
  const veth: Path = { pid: clientPid, address: server.ip, interfaceName: 'eth0' }

  const streams = {
    loopback: await inTurn(scene, loopback, shared),
    veth: await inTurn(scene, veth, shared),
    'loopback, a processor each': await inTurn(scene, loopback, apart),
    'veth, a processor each': await inTurn(scene, veth, apart),
  }
  const datagrams = await inTurn(scene, loopback, { ...shared, datagramBytes: 64 })

  const rows: BenchRow[] = []
  for (const [subject, runs] of Object.entries(streams)) {
    for (const way of ways) {
      const value = (median(runs[way].map(({ bytesPerMs }) => bytesPerMs)) * 1_000) / 2 ** 20
      rows.push({ what: `throughput a second, ${way}`, subject, value, unit: 'MiB' })
    }
    const value = spread(losses(runs, 'not watched again')) * 100
    rows.push({ what: 'half of the pairs not watched differ by more than', subject, value, unit: 'percent' })
  }
  for (const way of ways)
    rows.push({
      what: `processor time for a datagram, ${way}`,
      subject: 'loopback',
      value: median(datagrams[way].map(({ nsPerPacket }) => nsPerPacket)),
      unit: 'ns',
    })
  const loss = (stream: keyof typeof streams, way: Way): number => median(losses(streams[stream], way))
  const both = (way: Way, suffix: '' | ', a processor each' = ''): number[] => [
    loss(`loopback${suffix}`, way),
    loss(`veth${suffix}`, way),
  ]
  const chance = (suffix?: ', a processor each'): number =>
    Math.max(...both('not watched again', suffix).map(Math.abs))
  return {
    rows,
    ratios: {
      throughputLoss: Math.max(...both('watched')),
      throughputLossLoopback: loss('loopback', 'watched'),
      throughputLossVeth: loss('veth', 'watched'),
      throughputLossOthers: Math.max(...both('another watched')),
      throughputLossOthersLoopback: loss('loopback', 'another watched'),
      throughputLossOthersVeth: loss('veth', 'another watched'),
      throughputLossOfNothing: chance(),
      throughputLossApart: Math.max(...both('watched', ', a processor each')),
      throughputLossOthersApart: Math.max(...both('another watched', ', a processor each')),
      throughputLossOfNothingApart: chance(', a processor each'),
      nsPerPacket: more(datagrams, 'watched'),
      nsPerPacketOfOthers: more(datagrams, 'another watched'),
      nsPerPacketOfNothing: more(datagrams, 'not watched again'),
    },
  }
}

interface Scene {
  readonly receiver: IperfServer
  readonly serverPid: number
  readonly otherPid: number
}

/** Rounds of all ways, forwards and backwards in turn: a machine's speed drifts. */
async function inTurn(
  { receiver, serverPid, otherPid }: Scene,
  { pid, address, interfaceName }: Path,
  options: IperfOptions,
): Promise<Runs> {
  const watched: Partial<Record<Way, number>> = {
    watched: networkNamespace(serverPid),
    'another watched': networkNamespace(otherPid),
  }
  await using sender = await IperfStream.start(pid, address, options)
  const now = (): { bytes: number; packets: number; cpuMs: number; atMs: number } => {
    const { receiveBytes: bytes, receivePackets: packets } = interfaceCounters(serverPid, interfaceName)
    return { bytes, packets, cpuMs: sender.cpuMs + receiver.cpuMs, atMs: performance.now() }
  }
  const runs: Runs = { 'not watched': [], watched: [], 'another watched': [], 'not watched again': [] }
  for (let round = 0; round < pairs; round += 1)
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const namespace = watched[way]
      using reader =
        namespace === undefined ? undefined : new StackReader({ log: silentLogger, libbpf: libbpfFile() })
      if (namespace !== undefined) reader?.watch([namespace])
      await delay(settleMs)
      const from = now()
      await delay(windowMs)
      const to = now()
      runs[way].push({
        bytesPerMs: (to.bytes - from.bytes) / (to.atMs - from.atMs),
        nsPerPacket: ((to.cpuMs - from.cpuMs) * 1e6) / (to.packets - from.packets),
      })
    }
  return runs
}

/** Share of the throughput that is lost, of each pair. */
function losses(runs: Runs, way: Way): number[] {
  return runs['not watched'].map(
    ({ bytesPerMs }, pair) => 1 - (runs[way][pair]?.bytesPerMs ?? Number.NaN) / bytesPerMs,
  )
}

/** What half of the values are further from their median than. */
function spread(values: readonly number[]): number {
  const middle = median(values)
  return median(values.map((value) => Math.abs(value - middle)))
}

/** Processor time that a packet costs more, in nanoseconds: median over pairs. */
function more(runs: Runs, way: Way): number {
  return median(
    runs['not watched'].map(
      ({ nsPerPacket }, pair) => (runs[way][pair]?.nsPerPacket ?? Number.NaN) - nsPerPacket,
    ),
  )
}
