/**
 * The aggregated TCP and UDP table of a node: what the eBPF pass and the readers of /proc both produce, and what the
 * collectors `connections`, `tcp` and `udp` read. Columns of numbers, so that a table crosses from a worker without
 * copying and 200,000 sockets never become 200,000 objects.
 */

import type { ConnectionColumns } from './columns.ts'
import type { LiveTcp } from './live-tcp.ts'

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

/** Length of the state counts: indices 1 to 11 are states, and see {@link partial}. */
export const stateCount = 12
/**
 * Index of {@link NamespaceSockets.tcp} of how many of them the kernel does not count as in use: request and TIME_WAIT sockets,
 * of which it keeps only a part. Only from eBPF.
 */
export const partial = 0
/** Length of {@link UdpFigures}. */
export const udpFields = 4

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

/**
 * Stays in its thread; `FlatTable` is what crosses. To be used at once, without waiting for anything: its source takes the
 * memory back when it reads the one after the next.
 */
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
