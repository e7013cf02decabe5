/**
 * The aggregated TCP and UDP table of a node: what the eBPF pass and the readers of /proc both produce, and what the
 * collectors `connections`, `tcp` and `udp` read. Columns of numbers, so that a table crosses from a worker without
 * copying and 200,000 sockets never become 200,000 objects.
 */

import { isLoopback } from './address.ts'
import { Groups, setCgroup, stride, type ConnectionColumns, type FlatColumns } from './groups.ts'
import type { LiveTcp } from './live-tcp.ts'
import { NumberSet } from './number-set.ts'

/** The kernel's socket states (include/net/tcp_states.h); index of {@link NamespaceSockets.tcp}. */
export const tcpState = {
  established: 1,
  synSent: 2,
  synRecv: 3,
  finWait1: 4,
  finWait2: 5,
  timeWait: 6,
  close: 7,
  closeWait: 8,
  lastAck: 9,
  listen: 10,
  closing: 11,
  /** A request socket. /proc shows it as SYN_RECV, and so does the table. */
  newSynRecv: 12,
} as const

/** Length of the state counts: indices 1 to 11 are used. */
const stateCount = 12
/** Length of {@link UdpFigures}. */
const udpFields = 4

/** One socket as its source saw it. A source keeps one of these and fills it again for each row: nothing is allocated. */
export class SocketRow {
  /** Inode of the network namespace. */
  namespace = 0
  protocol: 'tcp' | 'udp' = 'tcp'
  /** Address family of the socket: an IPv6 socket that talks to an IPv4 peer counts as 6. */
  family: 4 | 6 = 4
  /** The address in network byte order, read as big-endian words; an IPv4 address is in word 0. */
  readonly local: Int32Array = new Int32Array(4)
  localPort = 0
  /** As {@link local}. */
  readonly remote: Int32Array = new Int32Array(4)
  remotePort = 0
  /** A value of {@link tcpState}; not used for UDP. */
  state = 0
  /** Cgroup v2 id of the owner; 0 where it is not known (TIME_WAIT, SYN_RECV, every row of /proc). */
  cgroupId = 0
  /** Bytes that wait to be read; UDP only. */
  rxQueue = 0
  /** Bytes that wait to be sent; UDP only. */
  txQueue = 0
  /** Packets dropped for want of room; UDP only. */
  drops = 0
}

/** The UDP sockets of a namespace and family, summed. */
export interface UdpFigures {
  readonly sockets: number
  readonly drops: number
  /** Bytes. */
  readonly rxQueue: number
  /** Bytes. */
  readonly txQueue: number
}

/** The sockets of one network namespace. */
export interface NamespaceSockets {
  /** Number of IPv4 sockets by state (index: {@link tcpState}), loopback included. */
  readonly tcp: Uint32Array
  readonly tcp6: Uint32Array
  readonly udp: UdpFigures
  readonly udp6: UdpFigures
  /** Without connections from loopback to loopback. */
  readonly connections: ConnectionRange
}

/** The rows `from` to before `to` of columns that hold more than them. */
export interface ConnectionRange {
  readonly columns: ConnectionColumns
  readonly from: number
  readonly to: number
}

/** Stays in its thread; {@link FlatTable} is what crosses. */
export interface SocketTable {
  /** By inode of the network namespace. One without any socket may be absent when the source is eBPF. */
  readonly namespaces: ReadonlyMap<number, NamespaceSockets>
  /** Number of sockets that were read. */
  readonly rows: number
  /** Only from eBPF, when it was asked for. */
  readonly live?: LiveTcp
}

/** A network namespace to be read, and the processes that are known to live in it. */
export interface NamespaceTarget {
  readonly inode: number
  /** At least one; any of them will do. */
  readonly pids: readonly number[]
}

/** Where the table comes from. */
export interface SocketTableSource {
  readonly name: 'ebpf' | 'procfs'
  /**
   * Reads the sockets of `namespaces` now. Those that vanished meanwhile are absent from the table.
   *
   * @throws when the source as a whole cannot be read, or `signal` is aborted
   */
  read(namespaces: readonly NamespaceTarget[], signal: AbortSignal): Promise<SocketTable>
}

export interface SocketTableOptions {
  /** Keeps the peer's port of inbound connections instead of folding it to 0. @default false */
  readonly inboundPorts?: boolean
}

/**
 * Builds a {@link SocketTable} from single sockets, in any order. A TCP socket is inbound when its local port has a
 * LISTEN socket in its namespace, which is only known at the end: so rows are buffered as numbers and grouped then.
 */
export class SocketTableBuilder {
  readonly #inboundPorts: boolean
  readonly #inodes: number[] = []
  /** Index into #inodes by inode; the inode as int32, which V8 keeps unboxed. */
  readonly #indexes = new Map<number, number>()
  /** Both families of a namespace one behind the other: {@link stateCount} and {@link udpFields} numbers each. */
  #states = new Uint32Array(64 * 2 * stateCount)
  #udp = new Float64Array(64 * 2 * udpFields)
  /** Namespace index and port of each LISTEN socket, see {@link portKey}. */
  readonly #listening = new NumberSet()
  #buffer: Int32Array
  #buffered = 0
  #rows = 0

  /** @param rows how many sockets to make room for at first */
  constructor({ inboundPorts = false }: SocketTableOptions = {}, rows = 1024) {
    this.#inboundPorts = inboundPorts
    this.#buffer = new Int32Array(rows * stride)
  }

  /** Makes sure that a namespace is in the table, even without any socket. */
  namespace(inode: number): void {
    this.#index(inode)
  }

  /** Counts one socket. `row` is not kept. A state that the kernel never shows in /proc is ignored. */
  add(row: SocketRow): void {
    const { namespace, family, local, remote } = row
    if (row.protocol === 'udp') {
      this.addUdp(namespace, family, row.drops, row.rxQueue, row.txQueue)
      return
    }
    const loopback = isLoopback(local, family) && isLoopback(remote, family)
    const ports = (row.localPort << 16) | row.remotePort
    const [first = 0, second = 0, third = 0, fourth = 0] = remote
    if (family === 4) this.addTcp(namespace, 4, row.state, row.cgroupId, loopback, 0, 0, 0xffff, first, ports)
    else this.addTcp(namespace, 6, row.state, row.cgroupId, loopback, first, second, third, fourth, ports)
  }

  /** Counts a UDP socket. */
  addUdp(inode: number, family: number, drops: number, rxQueue: number, txQueue: number): void {
    const at = (this.#index(inode) * 2 + (family === 4 ? 0 : 1)) * udpFields
    const udp = this.#udp
    udp[at] = (udp[at] ?? 0) + 1
    udp[at + 1] = (udp[at + 1] ?? 0) + drops
    udp[at + 2] = (udp[at + 2] ?? 0) + rxQueue
    udp[at + 3] = (udp[at + 3] ?? 0) + txQueue
    this.#rows += 1
  }

  /**
   * Counts a TCP socket, as {@link add} does, from numbers alone.
   *
   * @param inode of the namespace, also as a signed number
   * @param loopback both its ends are loopback addresses
   * @param first of the peer's four words; IPv4 in its IPv6-mapped form
   * @param ports the local port times 65536, and the peer's
   */
  addTcp(
    inode: number,
    family: number,
    givenState: number,
    cgroupId: number,
    loopback: boolean,
    first: number,
    second: number,
    third: number,
    fourth: number,
    ports: number,
  ): void {
    const state = givenState === tcpState.newSynRecv ? tcpState.synRecv : givenState
    if (state < 1 || state >= stateCount) return
    const index = this.#index(inode)
    this.#rows += 1
    const count = (index * 2 + (family === 4 ? 0 : 1)) * stateCount + state
    this.#states[count] = (this.#states[count] ?? 0) + 1
    if (state === tcpState.listen) this.#listening.add(portKey(index, ports >>> 16))
    else if (loopback) return
    const at = this.#buffered * stride
    if (at === this.#buffer.length) this.#grow()
    const buffer = this.#buffer
    buffer[at] = index
    buffer[at + 1] = first
    buffer[at + 2] = second
    buffer[at + 3] = third
    buffer[at + 4] = fourth
    buffer[at + 5] = ports
    buffer[at + 6] = state
    setCgroup(buffer, at, cgroupId)
    this.#buffered += 1
  }

  /** The table of all that was added. The builder is used up. */
  finish(): SocketTable {
    return tableOf(this.finishFlat())
  }

  /** As {@link finish}, in the form that crosses threads at the least cost. */
  finishFlat(): FlatTable {
    const groups = new Groups(this.#buffered)
    const buffer = this.#buffer
    for (let row = 0; row < this.#buffered; row += 1) {
      const at = row * stride
      const ports = buffer[at + 5] ?? 0
      const state = buffer[at + 6] ?? 0
      const localPort = ports >>> 16
      if (state === tcpState.listen) buffer[at + 5] = localPort
      else if (!this.#inboundPorts && this.#listening.has(portKey(buffer[at] ?? 0, localPort)))
        buffer[at + 5] = 0
      else buffer[at + 5] = ports & 0xffff
      groups.add(buffer, at, 1)
    }
    const namespaces = this.#inodes.length
    return {
      rows: this.#rows,
      inodes: Uint32Array.from(this.#inodes),
      states: this.#states.slice(0, namespaces * 2 * stateCount),
      udp: this.#udp.slice(0, namespaces * 2 * udpFields),
      connections: groups.flat(namespaces),
    }
  }

  #index(inode: number): number {
    const known = this.#indexes.get(inode | 0)
    if (known !== undefined) return known
    const index = this.#inodes.push(inode >>> 0) - 1
    this.#indexes.set(inode | 0, index)
    if (this.#inodes.length * 2 * stateCount > this.#states.length) {
      this.#states = grown(this.#states, new Uint32Array(this.#states.length * 2))
      this.#udp = grown(this.#udp, new Float64Array(this.#udp.length * 2))
    }
    return index
  }

  #grow(): void {
    this.#buffer = grown(this.#buffer, new Int32Array(Math.max(this.#buffered * 2, 1024) * stride))
  }
}

/** Never 0, as nobody listens on port 0. The first 65,536 namespaces are told apart. */
function portKey(namespaceIndex: number, port: number): number {
  return (namespaceIndex << 16) | port
}

function grown<T extends Int32Array | Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/** A {@link SocketTable} as a few columns, whatever the number of namespaces. */
export interface FlatTable {
  readonly rows: number
  readonly inodes: Uint32Array
  /** For each namespace {@link NamespaceSockets.tcp}, then `tcp6`. */
  readonly states: Uint32Array
  /** For each namespace {@link UdpFigures} of IPv4, then of IPv6, in their order. */
  readonly udp: Float64Array
  /** A set for each namespace. */
  readonly connections: FlatColumns
}

/** The memory of a table, to be moved to another thread instead of copied. */
export function buffersOf({ inodes, states, udp, connections }: FlatTable): ArrayBuffer[] {
  const { offsets, remote, remotePort, state, count, cgroupId } = connections
  const columns = [inodes, states, udp, offsets, remote, remotePort, state, count, cgroupId]
  return columns.map(({ buffer }) => buffer as ArrayBuffer)
}

/** The same table by namespace, in the same memory. */
export function tableOf(flat: FlatTable): SocketTable {
  const namespaces = new Map<number, NamespaceSockets>()
  for (let index = 0; index < flat.inodes.length; index += 1)
    namespaces.set(flat.inodes[index] ?? 0, new NamespaceOfTable(flat, index))
  return { rows: flat.rows, namespaces }
}

/** Makes what it is asked for and nothing else: there are a thousand of them, and views of typed arrays are costly. */
class NamespaceOfTable implements NamespaceSockets {
  readonly #table: FlatTable
  readonly #index: number

  constructor(table: FlatTable, index: number) {
    this.#table = table
    this.#index = index
  }

  get tcp(): Uint32Array {
    return this.#states(0)
  }

  get tcp6(): Uint32Array {
    return this.#states(1)
  }

  get udp(): UdpFigures {
    return this.#udp(0)
  }

  get udp6(): UdpFigures {
    return this.#udp(1)
  }

  get connections(): ConnectionRange {
    const { offsets } = this.#table.connections
    return {
      columns: this.#table.connections,
      from: offsets[this.#index] ?? 0,
      to: offsets[this.#index + 1] ?? 0,
    }
  }

  #states(half: 0 | 1): Uint32Array {
    const at = (this.#index * 2 + half) * stateCount
    return this.#table.states.subarray(at, at + stateCount)
  }

  #udp(half: 0 | 1): UdpFigures {
    const at = (this.#index * 2 + half) * udpFields
    const [sockets = 0, drops = 0, rxQueue = 0, txQueue = 0] = this.#table.udp.subarray(at, at + udpFields)
    return { sockets, drops, rxQueue, txQueue }
  }
}
