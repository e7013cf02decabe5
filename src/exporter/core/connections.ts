/** From the socket table to the series of `pod_connect_info`: whose socket is it, and which series are worth keeping. */
import { formatAddress } from './address.ts'
import type { Container, NetworkNamespace, Pod, Snapshot } from './containers.ts'
import { Groups, noConnections, stride, type ConnectionColumns } from './groups.ts'
import { keepHighest } from './keep-highest.ts'
import type { SocketTable } from './socket-table.ts'

/** The state's name in the label `status`, by the kernel's number. */
export const statusNames: readonly string[] = [
  '',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
]

/** One series. */
interface ConnectionSeries {
  /** Undefined: the node itself, or a plain container. */
  readonly pod: Pod | undefined
  /** Name of the container that owns the sockets; empty when it cannot be known. */
  readonly container: string
  /** An address; {@link otherPeers} for those that were folded. */
  readonly remoteAddress: string
  /** Undefined for folded ones. */
  readonly remotePort: number | undefined
  /** The kernel's number of the state. */
  readonly state: number
  /** Number of sockets. */
  readonly count: number
}

/** The `remote_addr` of what was left over. */
const otherPeers = '~other'

export interface ConnectionBounds {
  /** Series of one pod (or plain container, or the node itself), at most, folded ones included. */
  readonly maxSeriesPerPod: number
  /** Series of the node, at most, folded ones included. */
  readonly maxSeries: number
}

export interface BoundConnections {
  readonly series: readonly ConnectionSeries[]
  /** How many series each bound folded. */
  readonly folded: { readonly pod: number; readonly node: number }
}

/**
 * The series of a table. A socket belongs to the container whose cgroup it carries; without one to the only container
 * of its namespace; else to none. In the node's own namespace, a socket without a known cgroup is the node's.
 */
export function boundConnections(
  snapshot: Snapshot,
  table: SocketTable,
  bounds: ConnectionBounds,
): BoundConnections {
  const units = attribute(snapshot, table)
  let foldedByPod = 0
  const kept: UnitSeries[] = units.map((unit) => {
    const { series, others, folded } = boundUnit(unit, bounds.maxSeriesPerPod)
    foldedByPod += folded
    return { unit, series, others }
  })
  const foldedByNode = boundNode(kept, bounds.maxSeries)
  return {
    series: kept.flatMap(({ unit, series, others }) => [
      ...series,
      ...[...others].map(([state, count]) => ({
        ...{ pod: unit.pod, container: unit.onlyContainer, state, count },
        ...{ remoteAddress: otherPeers, remotePort: undefined },
      })),
    ]),
    folded: { pod: foldedByPod, node: foldedByNode },
  }
}

/** What the bound for one pod applies to, with the sockets of each of its owners. */
interface Unit {
  readonly pod: Pod | undefined
  /** The container when there is only one owner; else empty. */
  onlyContainer: string
  readonly owners: { readonly container: string; readonly columns: ConnectionColumns }[]
}

interface UnitSeries {
  readonly unit: Unit
  series: ConnectionSeries[]
  /** Sockets by state. */
  readonly others: Map<number, number>
}

function attribute(snapshot: Snapshot, table: SocketTable): Unit[] {
  const owners = new Owners()
  const present = snapshot.namespaces.flatMap((namespace) => {
    const connections = table.namespaces.get(namespace.inode)?.connections
    return connections === undefined ? [] : [{ namespace, connections }]
  })
  const groups = new Groups(present.reduce((sum, { connections }) => sum + connections.length, 0))
  const row = new Int32Array(stride)
  for (const { namespace, connections } of present) {
    const byCgroup = new Map(namespace.containers.map((one) => [one.cgroupId, one]))
    byCgroup.delete(0)
    const indexes = new Map<Container | undefined, number>()
    for (let k = 0; k < connections.length; k += 1) {
      const container = byCgroup.get(connections.cgroupId[k] ?? 0)
      let index = indexes.get(container)
      if (index === undefined) {
        index = owners.indexOf(namespace, container)
        indexes.set(container, index)
      }
      row[0] = index
      row.set(connections.remote.subarray(k * 4, k * 4 + 4), 1)
      row[5] = connections.remotePort[k] ?? 0
      row[6] = connections.state[k] ?? 0
      groups.add(row, 0, 0, connections.count[k] ?? 0)
    }
  }
  return owners.units(groups)
}

/**
 * Who owns sockets, by index. Pods are told apart by namespace and name, not by UID: while a pod is replaced by one of
 * its name, both have the same labels, and so one series.
 */
class Owners {
  readonly #units = new Map<string, Unit>()
  readonly #owners: { readonly unit: Unit; readonly container: string }[] = []
  readonly #indexes = new Map<string, number>()

  /** @param container the owner by its cgroup, where that is known */
  indexOf(namespace: NetworkNamespace, container: Container | undefined): number {
    const pod = container === undefined ? namespace.pod : container.pod
    const name = container?.name ?? containerOf(namespace)
    const unitKey = pod === undefined ? `container ${name}` : `pod ${pod.namespace}/${pod.name}`
    const key = `${unitKey} ${name}`
    const known = this.#indexes.get(key)
    if (known !== undefined) return known
    const unit = this.#units.get(unitKey) ?? { pod, onlyContainer: name, owners: [] }
    this.#units.set(unitKey, unit)
    if (name !== unit.onlyContainer) unit.onlyContainer = ''
    const index = this.#owners.push({ unit, container: name }) - 1
    this.#indexes.set(key, index)
    return index
  }

  units(groups: Groups): Unit[] {
    const columns = groups.columns(this.#owners.length)
    for (const [index, { unit, container }] of this.#owners.entries())
      unit.owners.push({ container, columns: columns[index] ?? noConnections })
    return [...this.#units.values()]
  }
}

/**
 * The container of a socket without a known cgroup: the only one of its namespace, else none. Plain containers that
 * share a namespace are named together, since nothing else would tell their sockets from the node's.
 */
function containerOf({ host, pod, containers }: NetworkNamespace): string {
  if (host) return ''
  if (containers.length === 1) return containers[0]?.name ?? ''
  const plain = pod === undefined && containers.every((one) => one.pod === undefined)
  return plain
    ? containers
        .map(({ name }) => name)
        .sort()
        .join('+')
    : ''
}

/** Keeps the series of one unit with the highest counts; ties go by address, port, state and container. */
function boundUnit(
  unit: Unit,
  max: number,
): { series: ConnectionSeries[]; others: Map<number, number>; folded: number } {
  const rows: Row[] = unit.owners.flatMap(({ container, columns }) =>
    Array.from({ length: columns.length }, (_, index) => ({ container, columns, index })),
  )
  const states = new Set(rows.map(({ columns, index }) => columns.state[index] ?? 0))
  const keep = rows.length <= max ? rows.length : Math.max(0, max - states.size)
  const { kept, rest } = keepHighest(rows, keep, compareRows)
  const others = new Map<number, number>()
  for (const { columns, index } of rest) count(others, columns.state[index] ?? 0, columns.count[index] ?? 0)
  const series = kept.map(({ container, columns, index }) => ({
    pod: unit.pod,
    container,
    remoteAddress: formatAddress(columns.remote, index * 4),
    remotePort: columns.remotePort[index] ?? 0,
    state: columns.state[index] ?? 0,
    count: columns.count[index] ?? 0,
  }))
  return { series, others, folded: rest.length }
}

interface Row {
  readonly container: string
  readonly columns: ConnectionColumns
  readonly index: number
}

function compareRows(one: Row, other: Row): number {
  const byCount = (other.columns.count[other.index] ?? 0) - (one.columns.count[one.index] ?? 0)
  if (byCount !== 0) return byCount
  for (let word = 0; word < 4; word += 1) {
    const a = one.columns.remote[one.index * 4 + word] ?? 0
    const b = other.columns.remote[other.index * 4 + word] ?? 0
    if (a !== b) return (a >>> 0) - (b >>> 0)
  }
  return (
    (one.columns.remotePort[one.index] ?? 0) - (other.columns.remotePort[other.index] ?? 0) ||
    (one.columns.state[one.index] ?? 0) - (other.columns.state[other.index] ?? 0) ||
    compareText(one.container, other.container)
  )
}

/** Folds the lowest series of all units until the node's bound holds. Gives how many were folded. */
function boundNode(units: UnitSeries[], max: number): number {
  const all = units.flatMap((unit) => unit.series.map((series) => ({ unit, series })))
  const folded = units.reduce((sum, { others }) => sum + others.size, 0)
  if (all.length + folded <= max) return 0
  const possibleOthers = units.reduce(
    (sum, { series, others }) => sum + new Set([...series.map(({ state }) => state), ...others.keys()]).size,
    0,
  )
  const { kept, rest } = keepHighest(all, Math.max(0, max - possibleOthers), (one, other) =>
    compareSeries(one.series, other.series),
  )
  for (const unit of units) unit.series = []
  for (const { unit, series } of kept) unit.series.push(series)
  for (const { unit, series } of rest) count(unit.others, series.state, series.count)
  return rest.length + foldOthers(units, max)
}

/** Where even the folded series of the pods are too many, all of them become one a state, without a pod. */
function foldOthers(units: UnitSeries[], max: number): number {
  const others = units.reduce((sum, unit) => sum + unit.others.size, 0)
  if (others + units.reduce((sum, { series }) => sum + series.length, 0) <= max) return 0
  const total = new Map<number, number>()
  for (const unit of units) {
    for (const [state, sockets] of unit.others) count(total, state, sockets)
    unit.others.clear()
  }
  units.push({ unit: { pod: undefined, onlyContainer: '', owners: [] }, series: [], others: total })
  return others
}

function compareSeries(one: ConnectionSeries, other: ConnectionSeries): number {
  return (
    other.count - one.count ||
    compareText(one.pod?.uid ?? '', other.pod?.uid ?? '') ||
    compareText(one.remoteAddress, other.remoteAddress) ||
    (one.remotePort ?? 0) - (other.remotePort ?? 0) ||
    one.state - other.state ||
    compareText(one.container, other.container)
  )
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

function count(counts: Map<number, number>, key: number, more: number): void {
  counts.set(key, (counts.get(key) ?? 0) + more)
}
