/** From the socket table to connections by owner: whose socket is it? */
import type { Container, NetworkNamespace, Pod, Snapshot } from './containers.ts'
import { columnBytes, columnsIn, copyRows, type ConnectionColumns } from './columns.ts'
import { GroupMemory, Groups, stride } from './groups.ts'
import type { ConnectionRange, SocketTable } from './socket-table.ts'

/** Whose sockets they are. */
export interface ConnectionOwner {
  /** Undefined: the node itself, or a plain container. */
  readonly pod: Pod | undefined
  /** Name of the container; empty when it cannot be known. */
  readonly container: string
}

/** What the bound for one pod applies to: a pod, a plain container, or the node itself. */
export interface ConnectionUnit {
  readonly pod: Pod | undefined
  /** Sorts units, the same on every scrape. */
  readonly key: string
  /** Indices of its owners. */
  readonly owners: number[]
}

/** An owner, and the rows `from` to before `to` that are its. */
export interface OwnedRows extends ConnectionOwner {
  from: number
  to: number
}

export interface OwnedConnections {
  /** What they say of cgroups means nothing any more. */
  readonly columns: ConnectionColumns
  readonly owners: readonly OwnedRows[]
  readonly units: readonly ConnectionUnit[]
}

/** Memory for one call of {@link connectionsByOwner} after the other: what it gave is valid until the next one. */
export class OwnersMemory {
  readonly groups: GroupMemory = new GroupMemory()
  #rows = new ArrayBuffer(0)

  columns(length: number): ConnectionColumns {
    const bytes = length * columnBytes
    if (this.#rows.byteLength < bytes || this.#rows.byteLength > 8 * bytes)
      this.#rows = new ArrayBuffer(Math.ceil(bytes * 1.25))
    return columnsIn(this.#rows, 0, length)
  }
}

/** The connections of a network namespace, and whose they are. */
interface Present {
  readonly connections: ConnectionRange
  readonly indexOf: (cgroupId: number) => number
  readonly owners: ReadonlySet<number>
  /** No two rows can become one when their cgroups are forgotten. */
  readonly distinct: boolean
}

/**
 * The connections of a table by owner. A socket belongs to the container whose cgroup it carries; without one to the only
 * container of its namespace; else to none. In the node's own namespace, a socket without a known cgroup is the node's.
 *
 * @param resolve gives the id of the container's cgroup for one below it, and any other id as it is
 */
export function connectionsByOwner(
  snapshot: Snapshot,
  table: SocketTable,
  resolve: (cgroupId: number) => number,
  memory: OwnersMemory = new OwnersMemory(),
): OwnedConnections {
  const owners = new Owners(resolve)
  const uses: number[] = []
  const present: Present[] = []
  let rows = 0
  for (const namespace of snapshot.namespaces) {
    const connections = table.namespaces.get(namespace.inode)?.connections
    if (connections === undefined) continue
    const indexOf = owners.within(namespace)
    const found = look(connections, indexOf)
    for (const owner of found.owners) uses[owner] = (uses[owner] ?? 0) + 1
    present.push({ connections, indexOf, ...found })
    rows += connections.to - connections.from
  }
  const columns = memory.columns(rows)
  const mixed: Present[] = []
  let end = 0
  // Nearly every namespace is one owner's, and its rows are as they shall be.
  for (const one of present) {
    const [index = 0, ...others] = one.owners
    const owner = owners.owners[index]
    if (owner === undefined || others.length > 0 || !one.distinct || uses[index] !== 1) mixed.push(one)
    else {
      const { columns: source, from, to } = one.connections
      copyRows(source, from, to, columns, end)
      owner.from = end
      owner.to = end += to - from
    }
  }
  group(mixed, owners.owners, columns, end, memory.groups)
  return { columns, owners: owners.owners, units: owners.units }
}

function look(
  { columns, from, to }: ConnectionRange,
  indexOf: (cgroupId: number) => number,
): Pick<Present, 'owners' | 'distinct'> {
  const { cgroupId: cgroups, state: states } = columns
  const owners = new Set<number>()
  /** By state. */
  const cgroupOf: (number | undefined)[] = []
  let [last, distinct] = [-1, true]
  for (let row = from; row < to; row += 1) {
    const cgroupId = cgroups[row] ?? 0
    const state = states[row] ?? 0
    const index = indexOf(cgroupId)
    if (index !== last) owners.add(index)
    last = index
    if ((cgroupOf[state] ??= cgroupId) !== cgroupId) distinct = false
  }
  return { owners, distinct }
}

/** Puts the rows of namespaces with several owners, or cgroups, together by owner, behind those that are there. */
function group(
  mixed: readonly Present[],
  owners: readonly OwnedRows[],
  columns: ConnectionColumns,
  end: number,
  memory: GroupMemory,
): void {
  const groups = new Groups(
    mixed.reduce((sum, { connections: { from, to } }) => sum + to - from, 0),
    memory,
  )
  const row = new Int32Array(stride)
  for (const { connections, indexOf } of mixed) {
    const { remote, remotePort, state, count, cgroupId } = connections.columns
    for (let k = connections.from; k < connections.to; k += 1) {
      row[0] = indexOf(cgroupId[k] ?? 0)
      row[1] = remote[k * 4] ?? 0
      row[2] = remote[k * 4 + 1] ?? 0
      row[3] = remote[k * 4 + 2] ?? 0
      row[4] = remote[k * 4 + 3] ?? 0
      row[5] = remotePort[k] ?? 0
      row[6] = state[k] ?? 0
      groups.add(row, 0, count[k] ?? 0)
    }
  }
  const offsets = new Uint32Array(owners.length + 1)
  groups.writeTo(columns, offsets, end)
  for (const [index, owner] of owners.entries()) {
    const [from = 0, to = 0] = offsets.subarray(index, index + 2)
    if (from === to) continue
    owner.from = from
    owner.to = to
  }
}

/**
 * Who owns sockets, by index. Pods are told apart by namespace and name, not by UID: while a pod is replaced by one of
 * its name, both have the same labels, and so one series.
 */
class Owners {
  readonly owners: OwnedRows[] = []
  readonly units: ConnectionUnit[] = []
  readonly #units = new Map<string, ConnectionUnit>()
  readonly #indices = new Map<string, number>()
  readonly #resolve: (cgroupId: number) => number

  constructor(resolve: (cgroupId: number) => number) {
    this.#resolve = resolve
  }

  /** A function that gives the owner of a socket of this namespace by its cgroup. */
  within(namespace: NetworkNamespace): (cgroupId: number) => number {
    const byCgroup = new Map<number, Container>(namespace.containers.map((one) => [one.cgroupId, one]))
    byCgroup.delete(0)
    const indices = new Map<number, number>()
    let [lastCgroup, lastIndex] = [-1, 0]
    return (cgroupId) => {
      if (cgroupId === lastCgroup) return lastIndex
      let index = indices.get(cgroupId)
      if (index === undefined) {
        index = this.#indexOf(namespace, byCgroup.get(this.#resolve(cgroupId)))
        indices.set(cgroupId, index)
      }
      lastCgroup = cgroupId
      lastIndex = index
      return index
    }
  }

  /** @param container the owner by its cgroup, where that is known */
  #indexOf(namespace: NetworkNamespace, container: Container | undefined): number {
    const pod = container === undefined ? namespace.pod : container.pod
    const name = container?.name ?? containerOf(namespace)
    const unitKey = pod === undefined ? `container ${name}` : `pod ${pod.namespace}/${pod.name}`
    const key = `${unitKey} ${name}`
    const known = this.#indices.get(key)
    if (known !== undefined) return known
    const index = this.owners.push({ pod, container: name, from: 0, to: 0 }) - 1
    this.#indices.set(key, index)
    const unit = this.#units.get(unitKey)
    if (unit === undefined) {
      const created = { pod, key: unitKey, owners: [index] }
      this.#units.set(unitKey, created)
      this.units.push(created)
    } else unit.owners.push(index)
    return index
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

/** The ids of all cgroups that sockets of a table carry. */
export function cgroupIdsOf(table: SocketTable): Set<number> {
  const ids = new Set<number>()
  let last = 0
  for (const { connections } of table.namespaces.values())
    for (let row = connections.from; row < connections.to; row += 1) {
      const id = connections.columns.cgroupId[row] ?? 0
      if (id !== last) ids.add(id)
      last = id
    }
  return ids
}
