/** Who talks to whom on this node, few enough to be drawn: pods or their workloads on one side, their peers on the other. */
import { formatAddress } from './address.ts'
import type { NetworkNamespace, Pod, Snapshot } from './containers.ts'
import { tcpState, type ConnectionRange, type SocketTable } from './socket-table.ts'
import { wellKnownPorts } from './well-known-ports.ts'
import { workloadName } from './workload-name.ts'

/** A pod, or the pods of a workload. */
export interface MapSource {
  /** Kubernetes namespace; empty for the node itself and for plain containers. */
  readonly namespace: string
  readonly name: string
  readonly pods: number
  /** Sockets that others opened. */
  readonly inbound: number
  /** Sockets that the other side has closed and the pod has not. */
  readonly closeWait: number
}

/** A peer; where there are many, those of one workload, or all that nothing is known of, with one port. */
export interface MapPeer {
  /** `PostgreSQL`, or `port 8080`. */
  readonly service: string
  readonly port: number
  /** The pod of this node or its workload; else the address, or how many there are. */
  readonly where: string
  /** Whether `where` names a pod or workload. */
  readonly named: boolean
}

export interface MapEdge {
  /** Index of its source. */
  readonly from: number
  /** Index of its peer. */
  readonly to: number
  readonly sockets: number
  readonly closeWait: number
}

export interface ConnectionMap {
  /** By namespace, then by name. */
  readonly sources: readonly MapSource[]
  /** Those with most sockets first. */
  readonly peers: readonly MapPeer[]
  readonly edges: readonly MapEdge[]
  /** Sources and peers that were left out, for want of room. */
  readonly hidden: { readonly sources: number; readonly peers: number }
}

export interface MapBounds {
  /** More pods than this are drawn as their workloads. */
  readonly maxPods: number
  /** More peers than this are drawn by port, addresses together. */
  readonly maxPeers: number
  /** Sources, and peers, that are drawn at all. */
  readonly maxBoxes: number
}

/** What fits on a page and can still be read. */
export const usualMapBounds: MapBounds = { maxPods: 24, maxPeers: 24, maxBoxes: 40 }

interface Source extends MapSource {
  pods: number
  inbound: number
  closeWait: number
  /** By peer's key. */
  readonly peers: Map<string, { sockets: number; closeWait: number }>
}

/** Which pod of the node has an address. */
export type PodAddresses = ReadonlyMap<string, Pick<Pod, 'name' | 'labels'>>

/**
 * The map of a node. Only TCP connections that are established, being opened or hanging are drawn; the node itself is left out
 * where it has pods, since everything runs through it.
 */
export function connectionMap(
  { namespaces }: Snapshot,
  table: SocketTable,
  addresses: PodAddresses,
  { maxPods, maxPeers, maxBoxes }: MapBounds = usualMapBounds,
): ConnectionMap {
  const pods = namespaces.filter(({ host }) => !host)
  const grouped = pods.length > maxPods
  const sources = new Map<string, Source>()
  for (const namespace of pods) {
    const source = sourceOf(sources, namespace, grouped)
    const connections = table.namespaces.get(namespace.inode)?.connections
    if (connections !== undefined) addConnections(source, connections)
  }
  const kept = [...sources.values()].sort(bySockets).slice(0, maxBoxes).sort(byName)
  const totals = totalsOf(kept)
  const keys = [...totals.keys()]
  const nameOf = keys.length > maxPeers ? together(keys, addresses) : oneByOne(keys, addresses)
  const peers = mostSockets(totals, nameOf)
  const drawn = peers.slice(0, maxBoxes)
  const indexes = new Map(drawn.map((peer, index) => [peer, index]))
  return {
    sources: kept,
    peers: drawn,
    edges: kept.flatMap((source, from) => edgesOf(source, from, nameOf, indexes)),
    hidden: { sources: sources.size - kept.length, peers: peers.length - drawn.length },
  }
}

const drawnStates: ReadonlySet<number> = new Set([tcpState.established, tcpState.synSent, tcpState.closeWait])

function sourceOf(
  sources: Map<string, Source>,
  { pod, containers, inode }: NetworkNamespace,
  grouped: boolean,
): Source {
  const alone = containers.map(({ name }) => name).join(', ') || String(inode)
  const name = pod === undefined ? alone : grouped ? workloadName(pod) : pod.name
  const namespace = pod?.namespace ?? ''
  const key = `${namespace}/${name}`
  const source = sources.get(key) ?? { namespace, name, pods: 0, inbound: 0, closeWait: 0, peers: new Map() }
  sources.set(key, source)
  source.pods += 1
  return source
}

function addConnections(source: Source, { columns, from, to }: ConnectionRange): void {
  for (let row = from; row < to; row += 1) {
    const state = columns.state[row] ?? 0
    if (!drawnStates.has(state)) continue
    const sockets = columns.count[row] ?? 0
    const closeWait = state === tcpState.closeWait ? sockets : 0
    source.closeWait += closeWait
    const port = columns.remotePort[row] ?? 0
    if (port === 0) {
      source.inbound += sockets
      continue
    }
    const key = `${port} ${formatAddress(columns.remote, row * 4)}`
    const edge = source.peers.get(key) ?? { sockets: 0, closeWait: 0 }
    source.peers.set(key, { sockets: edge.sockets + sockets, closeWait: edge.closeWait + closeWait })
  }
}

/** Sockets by peer's key. */
function totalsOf(sources: readonly Source[]): Map<string, number> {
  const totals = new Map<string, number>()
  for (const { peers } of sources)
    for (const [key, { sockets }] of peers) totals.set(key, (totals.get(key) ?? 0) + sockets)
  return totals
}

/** The peer that each key is drawn as. */
type Names = ReadonlyMap<string, MapPeer>

function parts(key: string): { port: number; address: string } {
  const space = key.indexOf(' ')
  return { port: Number(key.slice(0, space)), address: key.slice(space + 1) }
}

const serviceOf = (port: number): string => wellKnownPorts.get(port) ?? `port ${port}`

function oneByOne(keys: readonly string[], addresses: PodAddresses): Names {
  return new Map(
    keys.map((key) => {
      const { port, address } = parts(key)
      const pod = addresses.get(address)
      const peer = { service: serviceOf(port), port, where: pod?.name ?? address, named: pod !== undefined }
      return [key, peer]
    }),
  )
}

function together(keys: readonly string[], addresses: PodAddresses): Names {
  const groups = Map.groupBy(keys, (key) => {
    const { port, address } = parts(key)
    const pod = addresses.get(address)
    return pod === undefined ? String(port) : `${port} ${workloadName(pod)}`
  })
  return new Map(
    [...groups].flatMap(([group, members]) => {
      const { port } = parts(members[0] ?? '')
      const [, workload] = group.split(' ')
      const outside = members.length === 1 ? parts(members[0] ?? '').address : `${members.length} addresses`
      const peer = {
        service: serviceOf(port),
        port,
        where: workload ?? outside,
        named: workload !== undefined,
      }
      return members.map((key) => [key, peer] as const)
    }),
  )
}

/** Each peer once, those with most sockets first. */
function mostSockets(totals: ReadonlyMap<string, number>, nameOf: Names): MapPeer[] {
  const sums = new Map<MapPeer, number>()
  for (const [key, peer] of nameOf) sums.set(peer, (sums.get(peer) ?? 0) + (totals.get(key) ?? 0))
  return [...sums]
    .sort(([a, x], [b, y]) => y - x || a.port - b.port || (a.where < b.where ? -1 : 1))
    .map(([peer]) => peer)
}

function edgesOf(
  source: Source,
  from: number,
  nameOf: Names,
  indexes: ReadonlyMap<MapPeer, number>,
): MapEdge[] {
  const edges = new Map<number, MapEdge>()
  for (const [key, { sockets, closeWait }] of source.peers) {
    const peer = nameOf.get(key)
    const to = peer && indexes.get(peer)
    if (to === undefined) continue
    const before = edges.get(to) ?? { sockets: 0, closeWait: 0 }
    edges.set(to, { from, to, sockets: before.sockets + sockets, closeWait: before.closeWait + closeWait })
  }
  return [...edges.values()]
}

function socketsOf({ inbound, peers }: Source): number {
  return [...peers.values()].reduce((sum, { sockets }) => sum + sockets, inbound)
}

const bySockets = (a: Source, b: Source): number => socketsOf(b) - socketsOf(a) || byName(a, b)

function byName(a: MapSource, b: MapSource): number {
  const [first, second] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`]
  return first < second ? -1 : first > second ? 1 : 0
}
