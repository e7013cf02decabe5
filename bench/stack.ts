/**
 * What timing packets costs: throughput of iperf3 over loopback and from pod to pod, and processor time of small packets.
 * One stream runs all the time; in short windows that take turns it is watched, or another network namespace is, and
 * between any two of them it is not watched. Each window is set against the two around it that are not watched; as one of these
 * is against the two nearest of its kind: that is chance. Sender and receiver share a processor: throughput then is what its
 * time allows, and hangs less on chance than with one each, as far as there are two. Needs root; takes about three minutes.
 */
import { cpus } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { Containerd } from '../lab/containerd.ts'
import { startIperfServer, startIperfStream, type IperfOptions } from '../lab/iperf.ts'
import { libbpfFile, missingFor, prepare } from '../lab/needs.ts'
import { BareNamespaces, interfaceCounters, networkNamespace } from '../lab/network-namespace.ts'
import type { Process } from '../lab/process.ts'
import { processUsage } from '../lab/process-usage.ts'
import { silentLogger } from '../src/common/logger.ts'
import { StackReader } from '../src/exporter/ebpf/stack-reader.ts'
import { median, type BenchResult, type BenchRow } from './result.ts'
import { besidePlain } from './windows.ts'

/** Windows of each kind that are set against others. */
const pairs = 24
const windowMs = 200
/** From the change of what is watched to the window. */
const settleMs = 100
const shared: IperfOptions = { processors: [0, 0] }
const apart: IperfOptions = { processors: [0, cpus().length > 1 ? 1 : 0] }

const ways = ['not watched', 'watched', 'another watched'] as const
type Way = (typeof ways)[number]

interface Window {
  readonly way: Way
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
  await using receiver = await startIperfServer(serverPid)
  using reader = new StackReader({ log: silentLogger, libbpf: libbpfFile() })
  const scene = { receiver, reader, serverPid, otherPid }
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
  for (const [subject, windows] of Object.entries(streams)) {
    for (const way of ways) {
      const value = (middle(windows, way, 'bytesPerMs') * 1_000) / 2 ** 20
      rows.push({ what: `throughput a second, ${way}`, subject, value, unit: 'MiB' })
    }
    const value = median(losses(windows, 'not watched').map(Math.abs)) * 100
    rows.push({ what: 'chance: half of the windows differ by more than', subject, value, unit: 'percent' })
  }
  for (const way of ways)
    rows.push({
      what: `processor time for a datagram, ${way}`,
      subject: 'loopback',
      value: middle(datagrams, way, 'nsPerPacket'),
      unit: 'ns',
    })
  const loss = (stream: keyof typeof streams, way: Way): number => median(losses(streams[stream], way))
  const both = (way: Way, suffix: '' | ', a processor each' = ''): number[] => [
    loss(`loopback${suffix}`, way),
    loss(`veth${suffix}`, way),
  ]
  const chance = (suffix?: ', a processor each'): number =>
    Math.max(...both('not watched', suffix).map(Math.abs))
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
      nsPerPacketOfNothing: more(datagrams, 'not watched'),
    },
  }
}

interface Scene {
  readonly receiver: Process
  readonly reader: StackReader
  readonly serverPid: number
  readonly otherPid: number
}

async function inTurn(
  { receiver, reader, serverPid, otherPid }: Scene,
  { pid, address, interfaceName }: Path,
  options: IperfOptions,
): Promise<Window[]> {
  const watched: Readonly<Record<Way, readonly number[]>> = {
    'not watched': [],
    watched: [networkNamespace(serverPid)],
    'another watched': [networkNamespace(otherPid)],
  }
  await using sender = await startIperfStream(pid, address, options)
  const cpuMs = (): number => processUsage(sender.pid).cpuMs + processUsage(receiver.pid).cpuMs
  const now = (): { bytes: number; packets: number; cpuMs: number; atMs: number } => {
    const { receiveBytes: bytes, receivePackets: packets } = interfaceCounters(serverPid, interfaceName)
    return { bytes, packets, cpuMs: cpuMs(), atMs: performance.now() }
  }
  const windows: Window[] = []
  const measure = async (way: Way): Promise<void> => {
    reader.watch(watched[way])
    await delay(settleMs)
    const from = now()
    await delay(windowMs)
    const to = now()
    windows.push({
      way,
      bytesPerMs: (to.bytes - from.bytes) / (to.atMs - from.atMs),
      nsPerPacket: ((to.cpuMs - from.cpuMs) * 1e6) / (to.packets - from.packets),
    })
  }
  for (let pair = 0; pair < pairs; pair += 1)
    for (const way of ['not watched', 'watched', 'not watched', 'another watched'] as const)
      await measure(way)
  await measure('not watched')
  return windows
}

type Figure = 'bytesPerMs' | 'nsPerPacket'

function middle(windows: readonly Window[], way: Way, figure: Figure): number {
  return median(windows.filter((window) => window.way === way).map((window) => window[figure]))
}

/** Share of the throughput that is lost, of each window beside those that are not watched. */
function losses(windows: readonly Window[], way: Way): number[] {
  return besidePlain(windows, way, 'not watched', ({ bytesPerMs }) => bytesPerMs).map(
    ({ value, plain }) => 1 - value / plain,
  )
}

/** Processor time that a packet costs more, in nanoseconds: median over windows. */
function more(windows: readonly Window[], way: Way): number {
  return median(
    besidePlain(windows, way, 'not watched', ({ nsPerPacket }) => nsPerPacket).map(
      ({ value, plain }) => value - plain,
    ),
  )
}
