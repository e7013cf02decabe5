/** From single sockets to the table, numbers all the way. */
import { isLoopback } from './address.ts'
import { emptyTable, tableOf, type FlatTable } from './flat-table.ts'
import { GroupMemory, Groups, stride } from './groups.ts'
import { NumberSet } from './number-set.ts'
import { Scratch } from './scratch.ts'
import {
  partial,
  stateCount,
  tcpState,
  udpFields,
  type SocketRow,
  type SocketTable,
  type SocketTableOptions,
} from './socket-table.ts'

/** What building a table takes, for one builder after the other. */
export class TableMemory {
  readonly rows: Scratch = new Scratch()
  readonly groups: GroupMemory = new GroupMemory()
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
  readonly #memory: TableMemory

  /** @param rows how many sockets to make room for at first */
  constructor(
    { inboundPorts = false }: SocketTableOptions = {},
    rows = 1024,
    memory: TableMemory = new TableMemory(),
  ) {
    this.#inboundPorts = inboundPorts
    this.#memory = memory
    this.#buffer = memory.rows.take(rows * stride)
  }

  /** Makes sure that a namespace is in the table, even without any socket. */
  namespace(inode: number): void {
    this.#index(inode)
  }

  /** Counts one socket. `row` is not kept. A state that the kernel never shows in /proc is ignored. */
  add(row: SocketRow): void {
    const { namespace, family, local, remote, state, cgroupId } = row
    if (row.protocol === 'udp') {
      this.addUdp(namespace, family, row.drops, row.rxQueue, row.txQueue)
      return
    }
    const loopback = isLoopback(local, family) && isLoopback(remote, family)
    const ports = (row.localPort << 16) | row.remotePort
    const [first = 0, second = 0, third = 0, fourth = 0] = remote
    const high = Math.floor(cgroupId / 2 ** 32)
    if (family === 4) this.addTcp(namespace, 4, state, cgroupId, high, loopback, 0, 0, 0xffff, first, ports)
    else this.addTcp(namespace, 6, state, cgroupId, high, loopback, first, second, third, fourth, ports)
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
   * Counts a TCP socket, as {@link add} does, from numbers alone: of 32 bits, signed or not, since V8 makes an object of each larger
   * one that is handed over.
   *
   * @param inode of the namespace
   * @param cgroupLow the lower 32 bits count
   * @param loopback both its ends are loopback addresses
   * @param first of the peer's four words; IPv4 in its IPv6-mapped form
   * @param ports the local port times 65536, and the peer's
   */
  addTcp(
    inode: number,
    family: number,
    givenState: number,
    cgroupLow: number,
    cgroupHigh: number,
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
    if (at + stride > this.#buffer.length) this.#grow()
    const buffer = this.#buffer
    buffer[at] = index
    buffer[at + 1] = first
    buffer[at + 2] = second
    buffer[at + 3] = third
    buffer[at + 4] = fourth
    buffer[at + 5] = ports
    buffer[at + 6] = state
    buffer[at + 7] = cgroupLow
    buffer[at + 8] = cgroupHigh
    this.#buffered += 1
  }

  /** Counts a TCP socket that is added too: see {@link partial}. */
  addPartial(inode: number, family: number): void {
    const at = (this.#index(inode) * 2 + (family === 4 ? 0 : 1)) * stateCount + partial
    this.#states[at] = (this.#states[at] ?? 0) + 1
  }

  /** The table of all that was added. The builder is used up. */
  finish(): SocketTable {
    return tableOf(this.finishFlat())
  }

  /**
   * As {@link finish}, in the form that crosses threads at the least cost.
   *
   * @param spare as of {@link emptyTable}
   */
  finishFlat(spare?: ArrayBuffer): FlatTable {
    const groups = new Groups(this.#buffered, this.#memory.groups)
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
    const table = emptyTable(namespaces, groups.size, spare)
    table.rows = this.#rows
    table.inodes.set(this.#inodes)
    table.states.set(this.#states.subarray(0, namespaces * 2 * stateCount))
    table.udp.set(this.#udp.subarray(0, namespaces * 2 * udpFields))
    groups.writeTo(table.connections, table.offsets)
    return table
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
    this.#buffer = grown(this.#buffer, this.#memory.rows.take(Math.max(this.#buffered * 2, 1024) * stride))
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
