/** Which series of `pod_connect_info` are worth keeping. */
import {
  connectionsByOwner,
  type ConnectionOwner,
  type ConnectionUnit,
  type OwnedConnections,
  type OwnedRows,
  type OwnersMemory,
} from './connection-owners.ts'
import type { Snapshot } from './containers.ts'
import type { ConnectionColumns } from './columns.ts'
import { CountThreshold } from './count-threshold.ts'
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

export interface ConnectionBounds {
  /** Series of one pod (or plain container, or the node itself), at most, folded ones included. */
  readonly maxSeriesPerPod: number
  /** Series of the node, at most, folded ones included. */
  readonly maxSeries: number
}

/** What was left over of an owner, or of all. */
export interface OtherConnections {
  readonly owner: ConnectionOwner
  /** The kernel's number of the state. */
  readonly state: number
  /** Number of sockets. */
  readonly count: number
}

/** Series in columns: an owner has those of its rows that are kept. */
export interface BoundConnections {
  readonly owners: readonly OwnedRows[]
  readonly columns: ConnectionColumns
  /** 1 for a row that is a series, 0 for one that was folded. */
  readonly kept: Uint8Array
  readonly others: readonly OtherConnections[]
  /** How many series each bound folded. */
  readonly folded: { readonly pod: number; readonly node: number }
}

/**
 * The series of a table, within bounds.
 *
 * @param resolve as of {@link connectionsByOwner}
 * @param memory what it gives is valid until it is given the same memory again
 * @param pause called before and between steps that take 10 to 30 ms each for 200,000 sockets, to let others have their turn
 */
export async function boundConnections(
  snapshot: Snapshot,
  table: SocketTable,
  bounds: ConnectionBounds,
  resolve: (cgroupId: number) => number,
  pause: () => Promise<unknown>,
  memory?: OwnersMemory,
): Promise<BoundConnections> {
  await pause()
  const owned = connectionsByOwner(snapshot, table, resolve, memory)
  await pause()
  const selection = new Selection(owned)
  const pod = selection.boundEach(bounds.maxSeriesPerPod)
  await pause()
  const node = selection.boundAll(bounds.maxSeries)
  await pause()
  const { owners, columns } = owned
  return { owners, columns, kept: selection.kept, others: selection.others(), folded: { pod, node } }
}

/** One more than the highest state. */
const states = statusNames.length

/** A unit while it is bounded. */
interface Part {
  readonly unit: ConnectionUnit
  /** Rows that are kept. */
  rows: number
  /** States of its sockets: as many series as can be needed for folded ones. */
  readonly states: number
  /** Sockets that were folded, by state. */
  readonly others: Float64Array
}

/** Which rows are kept. All of them, until bounds are applied. */
class Selection {
  /** 1: kept. */
  readonly kept: Uint8Array
  readonly #owned: OwnedConnections
  readonly #columns: ConnectionColumns
  /** By key: what is folded among equals must not depend on the order of the table. */
  readonly #parts: readonly Part[]
  /** What was folded of all units together. */
  #total: Float64Array | undefined

  constructor(owned: OwnedConnections) {
    this.#owned = owned
    this.#columns = owned.columns
    this.kept = new Uint8Array(owned.columns.length).fill(1)
    this.#parts = owned.units
      .toSorted((one, other) => compareText(one.key, other.key))
      .map((unit) => partOf(unit, owned))
  }

  /** Keeps the `max` series of each unit with the highest counts. Gives how many were folded. */
  boundEach(max: number): number {
    return sum(this.#parts, (part) => this.#bound([part], max))
  }

  /** Keeps the `max` series of all units with the highest counts. Gives how many were folded. */
  boundAll(max: number): number {
    return this.#bound(this.#parts, max) + this.#foldOthers(max)
  }

  others(): OtherConnections[] {
    const all = this.#parts.map(({ unit, others }) => ({ owner: this.#ownerOf(unit), others }))
    if (this.#total !== undefined) all.push({ owner: { pod: undefined, container: '' }, others: this.#total })
    return all.flatMap(({ owner, others }) =>
      Array.from(others, (count, state) => ({ owner, state, count })).filter(({ count }) => count > 0),
    )
  }

  /** Folds the lowest rows of `parts` until there are `max` series, those of folded rows included. */
  #bound(parts: readonly Part[], max: number): number {
    const rows = sum(parts, (part) => part.rows)
    if (rows + sum(parts, seriesOfOthers) <= max) return 0
    const keep = Math.max(0, max - sum(parts, (part) => part.states))
    return rows > keep ? this.#fold(parts, rows, keep) : 0
  }

  /** Keeps the `keep` highest of the `rows` rows of `parts`; among equals those of the first parts, then by address and so on. */
  #fold(parts: readonly Part[], rows: number, keep: number): number {
    const { count } = this.#columns
    const threshold = new CountThreshold()
    for (const part of parts)
      this.#eachRow(part, (row) => {
        threshold.add(count[row] ?? 0)
      })
    const { least, ties: places } = threshold.of(keep)
    let room = places
    for (const part of parts) {
      const ties: number[] = []
      this.#eachRow(part, (row) => {
        const sockets = count[row] ?? 0
        if (sockets < least) this.#foldRow(part, row)
        else if (sockets === least) ties.push(row)
      })
      const { rest } = keepHighest(ties, Math.min(room, ties.length), this.#compare)
      for (const row of rest) this.#foldRow(part, row)
      room -= ties.length - rest.length
    }
    return rows - keep
  }

  /** Where even the folded series of the units are too many, all of them become one a state, without a pod. */
  #foldOthers(max: number): number {
    const others = sum(this.#parts, seriesOfOthers)
    if (others + sum(this.#parts, (part) => part.rows) <= max) return 0
    this.#total = new Float64Array(states)
    for (const part of this.#parts) {
      for (let state = 0; state < states; state += 1)
        this.#total[state] = (this.#total[state] ?? 0) + (part.others[state] ?? 0)
      part.others.fill(0)
    }
    return others
  }

  #foldRow(part: Part, row: number): void {
    const { others } = part
    const state = this.#columns.state[row] ?? 0
    this.kept[row] = 0
    part.rows -= 1
    others[state] = (others[state] ?? 0) + (this.#columns.count[row] ?? 0)
  }

  #eachRow({ unit }: Part, visit: (row: number) => void): void {
    for (const owner of unit.owners) {
      const { from = 0, to = 0 } = this.#owned.owners[owner] ?? {}
      for (let row = from; row < to; row += 1) if (this.kept[row] === 1) visit(row)
    }
  }

  /** Rows of one unit and the same count. */
  readonly #compare = (one: number, other: number): number => {
    const { remote, remotePort, state } = this.#columns
    for (let word = 0; word < 4; word += 1) {
      const [a, b] = [remote[one * 4 + word] ?? 0, remote[other * 4 + word] ?? 0]
      if (a !== b) return (a >>> 0) - (b >>> 0)
    }
    return (
      (remotePort[one] ?? 0) - (remotePort[other] ?? 0) ||
      (state[one] ?? 0) - (state[other] ?? 0) ||
      compareText(this.#containerOf(one), this.#containerOf(other))
    )
  }

  #containerOf(row: number): string {
    return this.#owned.owners.find(({ from, to }) => from <= row && row < to)?.container ?? ''
  }

  /** Who the folded sockets of a unit belong to. */
  #ownerOf({ pod, owners }: ConnectionUnit): ConnectionOwner {
    const [only, ...more] = owners
    const container = only === undefined || more.length > 0 ? '' : (this.#owned.owners[only]?.container ?? '')
    return { pod, container }
  }
}

function partOf(unit: ConnectionUnit, { owners, columns: { state } }: OwnedConnections): Part {
  let [rows, present] = [0, 0]
  for (const owner of unit.owners) {
    const { from = 0, to = 0 } = owners[owner] ?? {}
    rows += to - from
    for (let row = from; row < to; row += 1) present |= 1 << (state[row] ?? 0)
  }
  let distinct = 0
  for (let rest = present; rest !== 0; rest &= rest - 1) distinct += 1
  return { unit, rows, states: distinct, others: new Float64Array(states) }
}

function seriesOfOthers({ others }: Part): number {
  return others.reduce((series, sockets) => series + (sockets > 0 ? 1 : 0), 0)
}

function sum<T>(items: readonly T[], pick: (item: T) => number): number {
  return items.reduce((total, item) => total + pick(item), 0)
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
