/** Rows of connections, counted together where they are equal: numbers in columns, no object per row. */
import type { ConnectionColumns } from './columns.ts'
import { Scratch } from './scratch.ts'

/** Numbers of a row as {@link Groups} takes it: index of its set, four words of the peer, the peer's port, state, cgroup in two words. */
export const stride = 9

/** Of a row. */
const [port, state, cgroup] = [5, 6, 7]
/** Numbers of a group: a row, and how often it came. In one place, because places far apart are what takes time. */
const groupStride = stride + 1

/** The memory of {@link Groups}, for one at a time. */
export class GroupMemory {
  readonly slots: Scratch = new Scratch()
  readonly groups: Scratch = new Scratch()
}

/** Counts equal rows, in several sets at once: a hash table with open addressing over typed arrays. */
export class Groups {
  /** Where a group is in #groups, + 1; 0: free. */
  readonly #slots: Int32Array
  readonly #mask: number
  readonly #groups: Int32Array
  #end = 0

  /** @param rows the most rows that will be added */
  constructor(rows: number, memory: GroupMemory = new GroupMemory()) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(rows, 1) * 2))
    this.#slots = memory.slots.take(slots).fill(0, 0, slots)
    this.#mask = slots - 1
    this.#groups = memory.groups.take(rows * groupStride)
  }

  /** Number of groups. */
  get size(): number {
    return this.#end / groupStride
  }

  /** Counts the row whose {@link stride} numbers begin at `at`, `count` times. */
  add(rows: Int32Array, at: number, count: number): void {
    const groups = this.#groups
    const slots = this.#slots
    for (let slot = hashOf(rows, at) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const group = (slots[slot] ?? 0) - 1
      if (group === -1) {
        slots[slot] = this.#end + 1
        for (let k = 0; k < stride; k += 1) groups[this.#end + k] = rows[at + k] ?? 0
        groups[this.#end + stride] = count
        this.#end += groupStride
        return
      }
      let k = 0
      while (k < stride && groups[group + k] === rows[at + k]) k += 1
      if (k < stride) continue
      groups[group + stride] = (groups[group + stride] ?? 0) + count
      return
    }
  }

  /**
   * Writes what was counted: set after set, the rows of each in the order in which they first came.
   *
   * @param columns room for {@link size} rows from `base` on
   * @param offsets room for a number more than there are sets. Set k is then in the rows from offsets[k] to before
   *   offsets[k + 1]
   */
  writeTo(columns: ConnectionColumns, offsets: Uint32Array, base = 0): void {
    const groups = this.#groups
    const sets = offsets.length - 1
    offsets.fill(0)
    for (let at = 0; at < this.#end; at += groupStride) {
      const set = groups[at] ?? 0
      offsets[set + 1] = (offsets[set + 1] ?? 0) + 1
    }
    offsets[0] = base
    for (let set = 0; set < sets; set += 1) offsets[set + 1] = (offsets[set + 1] ?? 0) + (offsets[set] ?? 0)
    const next = offsets.slice()
    const { remote, remotePort, state: states, count, cgroupId } = columns
    for (let at = 0; at < this.#end; at += groupStride) {
      const set = groups[at] ?? 0
      const row = next[set] ?? 0
      next[set] = row + 1
      for (let word = 0; word < 4; word += 1) remote[row * 4 + word] = groups[at + 1 + word] ?? 0
      remotePort[row] = groups[at + port] ?? 0
      states[row] = groups[at + state] ?? 0
      count[row] = groups[at + stride] ?? 0
      cgroupId[row] = ((groups[at + cgroup] ?? 0) >>> 0) + (groups[at + cgroup + 1] ?? 0) * 2 ** 32
    }
  }
}

/** Odd numbers without a pattern, one for each place. */
const factors = Int32Array.of(
  ...[
    0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1, 0xd3a2646d, 0xfd7046c5, 0xb55a4f09,
    0x8f3a4e95,
  ],
)

/** Products that do not wait for each other, then mixed. */
function hashOf(rows: Int32Array, at: number): number {
  let hash = 0
  for (let k = 0; k < stride; k += 1) hash = (hash + Math.imul(rows[at + k] ?? 0, factors[k] ?? 0)) | 0
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}
