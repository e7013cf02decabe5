/** A socket table in the form that crosses threads at the least cost: a few columns, whatever the number of namespaces. */
import type { FlatColumns } from './groups.ts'
import {
  stateCount,
  udpFields,
  type ConnectionRange,
  type NamespaceSockets,
  type SocketTable,
  type UdpFigures,
} from './socket-table.ts'

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
