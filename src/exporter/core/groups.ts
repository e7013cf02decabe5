/** Rows of connections, counted together where they are equal: numbers in columns, no object per row. */

/** Aggregated TCP sockets, a column each: row i has its values at index i of each column. */
export interface ConnectionColumns {
  readonly length: number
  /** Four words a row, network byte order; IPv4 in its IPv6-mapped form. `formatAddress` makes text of it. */
  readonly remote: Int32Array
  /** 0 where an inbound socket's ephemeral port was folded; the local port of a LISTEN socket. */
  readonly remotePort: Uint16Array
  /** The kernel's number of the TCP state, 1 to 11. */
  readonly state: Uint8Array
  /** Number of sockets. */
  readonly count: Uint32Array
  /** Cgroup v2 id of the owner; 0 where it is not known. */
  readonly cgroupId: Float64Array
}

/** The columns of many sets in one: set k has the rows from offsets[k] to before offsets[k + 1]. */
export interface FlatColumns extends ConnectionColumns {
  readonly offsets: Uint32Array
}

/** The rows of one set, in the same memory. */
export function columnsOf(all: FlatColumns, set: number): ConnectionColumns {
  const [from = 0, to = 0] = [all.offsets[set], all.offsets[set + 1]]
  return {
    length: to - from,
    remote: all.remote.subarray(from * 4, to * 4),
    remotePort: all.remotePort.subarray(from, to),
    state: all.state.subarray(from, to),
    count: all.count.subarray(from, to),
    cgroupId: all.cgroupId.subarray(from, to),
  }
}

/** Numbers of a row as {@link Groups} takes it: index of its set, four words of the peer, the peer's port, state. */
export const stride = 7

/** Counts equal rows, in several sets at once: a hash table with open addressing over typed arrays. */
export class Groups {
  /** Group index + 1, 0: free. */
  readonly #slots: Int32Array
  readonly #mask: number
  readonly #keys: Int32Array
  readonly #cgroups: Float64Array
  readonly #counts: Uint32Array
  #length = 0

  /** @param rows the most rows that will be added */
  constructor(rows: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(rows, 1) * 2))
    this.#slots = new Int32Array(slots)
    this.#mask = slots - 1
    this.#keys = new Int32Array(rows * stride)
    this.#cgroups = new Float64Array(rows)
    this.#counts = new Uint32Array(rows)
  }

  /** Counts the row whose {@link stride} numbers begin at `at`, `count` times. */
  add(rows: Int32Array, at: number, cgroupId: number, count: number): void {
    let hash = cgroupId | 0
    for (let k = 0; k < stride; k += 1) {
      hash = Math.imul(hash ^ (rows[at + k] ?? 0), 0x9e3779b1)
      hash ^= hash >>> 15
    }
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const group = (this.#slots[slot] ?? 0) - 1
      if (group === -1) {
        this.#slots[slot] = this.#append(rows, at, cgroupId, count)
        return
      }
      if (this.#equal(group, rows, at, cgroupId)) {
        this.#counts[group] = (this.#counts[group] ?? 0) + count
        return
      }
    }
  }

  /** What was counted, by index of the set, in the order in which rows first came. */
  columns(sets: number): ConnectionColumns[] {
    const flat = this.flat(sets)
    return Array.from({ length: sets }, (_, set) => columnsOf(flat, set))
  }

  /** As {@link columns}, all sets one behind the other in the same columns. */
  flat(sets: number): FlatColumns {
    const offsets = new Uint32Array(sets + 1)
    for (let group = 0; group < this.#length; group += 1) {
      const set = this.#keys[group * stride] ?? 0
      offsets[set + 1] = (offsets[set + 1] ?? 0) + 1
    }
    for (let set = 0; set < sets; set += 1) offsets[set + 1] = (offsets[set + 1] ?? 0) + (offsets[set] ?? 0)
    const next = offsets.slice()
    const all = { ...emptyColumns(this.#length), offsets }
    for (let group = 0; group < this.#length; group += 1) {
      const at = group * stride
      const set = this.#keys[at] ?? 0
      const row = next[set] ?? 0
      next[set] = row + 1
      for (let word = 0; word < 4; word += 1) all.remote[row * 4 + word] = this.#keys[at + 1 + word] ?? 0
      all.remotePort[row] = this.#keys[at + 5] ?? 0
      all.state[row] = this.#keys[at + 6] ?? 0
      all.count[row] = this.#counts[group] ?? 0
      all.cgroupId[row] = this.#cgroups[group] ?? 0
    }
    return all
  }

  #append(rows: Int32Array, at: number, cgroupId: number, count: number): number {
    const group = this.#length
    for (let k = 0; k < stride; k += 1) this.#keys[group * stride + k] = rows[at + k] ?? 0
    this.#cgroups[group] = cgroupId
    this.#counts[group] = count
    this.#length += 1
    return group + 1
  }

  #equal(group: number, rows: Int32Array, at: number, cgroupId: number): boolean {
    for (let k = 0; k < stride; k += 1) {
      if (this.#keys[group * stride + k] !== rows[at + k]) return false
    }
    return this.#cgroups[group] === cgroupId
  }
}

/** Columns without any row. */
export const noConnections: ConnectionColumns = emptyColumns(0)

function emptyColumns(length: number): ConnectionColumns {
  return {
    length,
    remote: new Int32Array(length * 4),
    remotePort: new Uint16Array(length),
    state: new Uint8Array(length),
    count: new Uint32Array(length),
    cgroupId: new Float64Array(length),
  }
}
