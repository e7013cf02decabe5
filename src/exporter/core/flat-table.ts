/** A socket table in the form that crosses threads at the least cost: a few columns, whatever the number of namespaces. */
import { columnBytes, columnsIn, type ConnectionColumns } from './columns.ts'
import {
  stateCount,
  udpFields,
  type ConnectionRange,
  type NamespaceSockets,
  type SocketTable,
  type UdpFigures,
} from './socket-table.ts'

/** A {@link SocketTable} as a few columns, whatever the number of namespaces. All of them lie in one piece of memory. */
export interface FlatTable {
  /** Sockets. */
  rows: number
  readonly memory: ArrayBuffer
  readonly inodes: Uint32Array
  /** For each namespace {@link NamespaceSockets.tcp}, then `tcp6`. */
  readonly states: Uint32Array
  /** For each namespace {@link UdpFigures} of IPv4, then of IPv6, in their order. */
  readonly udp: Float64Array
  readonly connections: ConnectionColumns
  /** Namespace k has the connections from offsets[k] to before offsets[k + 1]. */
  readonly offsets: Uint32Array
}

/**
 * An empty table.
 *
 * @param spare memory of a table that nobody needs any more; used where it is neither too small nor far too large
 */
export function emptyTable(namespaces: number, connections: number, spare?: ArrayBuffer): FlatTable {
  const words = namespaces * (2 * stateCount + 2) + 1
  const udp = namespaces * 2 * udpFields
  const columnsAt = udp * 8 + Math.ceil(words / 2) * 8
  const bytes = columnsAt + connections * columnBytes
  const fits = spare !== undefined && spare.byteLength >= bytes && spare.byteLength <= 8 * bytes
  const memory = fits ? spare : new ArrayBuffer(Math.ceil(bytes * 1.25))
  const numbers = (from: number, length: number): Uint32Array =>
    new Uint32Array(memory, udp * 8 + from * 4, length)
  return {
    rows: 0,
    memory,
    udp: new Float64Array(memory, 0, udp),
    inodes: numbers(0, namespaces),
    states: numbers(namespaces, namespaces * 2 * stateCount),
    offsets: numbers(namespaces * (2 * stateCount + 1), namespaces + 1),
    connections: columnsIn(memory, columnsAt, connections),
  }
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
    const { offsets, connections } = this.#table
    return {
      columns: connections,
      from: offsets[this.#index] ?? 0,
      to: offsets[this.#index + 1] ?? 0,
    }
  }

  #states(half: 0 | 1): Uint32Array {
    const at = (this.#index * 2 + half) * stateCount
    return this.#table.states.subarray(at, at + stateCount)
  }

  #udp(half: 0 | 1): UdpFigures {
    const { udp } = this.#table
    const at = (this.#index * 2 + half) * udpFields
    return {
      sockets: udp[at] ?? 0,
      drops: udp[at + 1] ?? 0,
      rxQueue: udp[at + 2] ?? 0,
      txQueue: udp[at + 3] ?? 0,
    }
  }
}
