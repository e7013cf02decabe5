/**
 * The aggregated TCP and UDP table of a node: what the eBPF pass and the readers of /proc both produce, and what the
 * collectors `connections`, `tcp` and `udp` read. Columns of numbers, so that a table crosses from a worker without
 * copying and 200,000 sockets never become 200,000 objects.
 */

import { isLoopback } from './address.ts'
import type { LiveTcp } from './live-tcp.ts'
import { Groups, noConnections, stride, type ConnectionColumns } from './groups.ts'

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
  sockets: number
  drops: number
  /** Bytes. */
  rxQueue: number
  /** Bytes. */
  txQueue: number
}

/** The sockets of one network namespace. */
export interface NamespaceSockets {
  /** Number of IPv4 sockets by state (index: {@link tcpState}), loopback included. */
  readonly tcp: Uint32Array
  readonly tcp6: Uint32Array
  readonly udp: UdpFigures
  readonly udp6: UdpFigures
  /** Without connections from loopback to loopback. */
  readonly connections: ConnectionColumns
}

/** Survives structured cloning, so that a worker may send it. */
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
  readonly #namespaces: NamespaceBuilder[] = []
  /** Index into #namespaces by inode; the inode as int32, which V8 keeps unboxed. */
  readonly #indexes = new Map<number, number>()
  /** namespace index × 65536 + port of each LISTEN socket. */
  readonly #listening = new Set<number>()
  #buffer = new Int32Array(1024 * stride)
  #cgroups = new Float64Array(1024)
  #buffered = 0
  #rows = 0

  constructor({ inboundPorts = false }: SocketTableOptions = {}) {
    this.#inboundPorts = inboundPorts
  }

  /** Makes sure that a namespace is in the table, even without any socket. */
  namespace(inode: number): void {
    this.#index(inode)
  }

  /** Counts one socket. `row` is not kept. A state that the kernel never shows in /proc is ignored. */
  add(row: SocketRow): void {
    const index = this.#index(row.namespace)
    const namespace = this.#namespaces[index]
    if (namespace === undefined) return
    if (row.protocol === 'udp') {
      const figures = row.family === 4 ? namespace.udp : namespace.udp6
      figures.sockets += 1
      figures.drops += row.drops
      figures.rxQueue += row.rxQueue
      figures.txQueue += row.txQueue
      this.#rows += 1
      return
    }
    const state = row.state === tcpState.newSynRecv ? tcpState.synRecv : row.state
    if (state < 1 || state >= stateCount) return
    this.#rows += 1
    const states = row.family === 4 ? namespace.tcp : namespace.tcp6
    states[state] = (states[state] ?? 0) + 1
    if (state === tcpState.listen) this.#listening.add(index * 65_536 + row.localPort)
    else if (isLoopback(row.local, row.family) && isLoopback(row.remote, row.family)) return
    this.#keep(index, row, state)
  }

  /** The table of all that was added. The builder is used up. */
  finish(): SocketTable {
    const groups = new Groups(this.#buffered)
    const buffer = this.#buffer
    for (let row = 0; row < this.#buffered; row += 1) {
      const at = row * stride
      const ports = buffer[at + 5] ?? 0
      const state = buffer[at + 6] ?? 0
      const localPort = ports >>> 16
      if (state === tcpState.listen) buffer[at + 5] = localPort
      else if (!this.#inboundPorts && this.#listening.has((buffer[at] ?? 0) * 65_536 + localPort))
        buffer[at + 5] = 0
      else buffer[at + 5] = ports & 0xffff
      groups.add(buffer, at, this.#cgroups[row] ?? 0, 1)
    }
    const connections = groups.columns(this.#namespaces.length)
    return {
      rows: this.#rows,
      namespaces: new Map(
        this.#namespaces.map(({ inode, tcp, tcp6, udp, udp6 }, index) => [
          inode,
          { tcp, tcp6, udp, udp6, connections: connections[index] ?? noConnections },
        ]),
      ),
    }
  }

  #index(inode: number): number {
    const known = this.#indexes.get(inode | 0)
    if (known !== undefined) return known
    const index = this.#namespaces.length
    this.#namespaces.push(new NamespaceBuilder(inode))
    this.#indexes.set(inode | 0, index)
    return index
  }

  #keep(index: number, row: SocketRow, state: number): void {
    const at = this.#buffered * stride
    if (at === this.#buffer.length) this.#grow()
    const buffer = this.#buffer
    buffer[at] = index
    if (row.family === 4) {
      buffer[at + 3] = 0xffff
      buffer[at + 4] = row.remote[0] ?? 0
    } else {
      buffer.set(row.remote, at + 1)
    }
    buffer[at + 5] = (row.localPort << 16) | row.remotePort
    buffer[at + 6] = state
    this.#cgroups[this.#buffered] = row.cgroupId
    this.#buffered += 1
  }

  #grow(): void {
    const buffer = new Int32Array(this.#buffer.length * 2)
    buffer.set(this.#buffer)
    this.#buffer = buffer
    const cgroups = new Float64Array(this.#cgroups.length * 2)
    cgroups.set(this.#cgroups)
    this.#cgroups = cgroups
  }
}

class NamespaceBuilder {
  readonly inode: number
  readonly tcp = new Uint32Array(stateCount)
  readonly tcp6 = new Uint32Array(stateCount)
  readonly udp: UdpFigures = { sockets: 0, drops: 0, rxQueue: 0, txQueue: 0 }
  readonly udp6: UdpFigures = { sockets: 0, drops: 0, rxQueue: 0, txQueue: 0 }

  constructor(inode: number) {
    this.inode = inode
  }
}
