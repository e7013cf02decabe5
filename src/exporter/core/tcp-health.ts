/**
 * From what the kernel counted per cgroup to counters that never go back: over restarts of a container, which gets
 * another cgroup each time, for as long as its pod lives.
 */
import { tcpHealthField, tcpHealthFields, type OwnerCount, type TcpHealthRows } from './decode-tcp-health.ts'
import { rttBuckets, type LiveTcp } from './live-tcp.ts'
import type { SocketOwner, SocketOwners } from './socket-owner.ts'

/** The figures of one owner. */
export interface TcpHealthFigures {
  readonly owner: SocketOwner
  /** Counters at the places of `tcpHealthField`. */
  readonly counters: Float64Array
  /** Of ended and open connections. */
  readonly bytesReceived: number
  readonly bytesAcked: number
  /** Open connections by round-trip time, not cumulative. */
  readonly rtt: Uint32Array
  /** Open connections that have stood for long. */
  readonly long: number
}

/** One reading of the kernel's sums. */
export interface TcpHealthInput {
  readonly rows: TcpHealthRows
  readonly long: readonly OwnerCount[]
  /** Undefined where sockets are not read with eBPF. */
  readonly live: LiveTcp | undefined
}

/** A row that is not needed any more. */
export interface ForgottenOwner {
  readonly cgroupId: number
  readonly namespace: number
}

/**
 * How long an owner that is gone is remembered, in milliseconds: a container that crashes again and again is down for
 * up to five minutes.
 */
const keepMs = 10 * 60_000

interface OwnerState {
  readonly counters: Float64Array
  bytesReceived: number
  bytesAcked: number
  presentAt: number
}

/** A row of the kernel as it was last. */
interface RowState {
  readonly last: Float64Array
  /** When its owner was last known. */
  ownedAt: number
}

export class TcpHealthTotals {
  readonly #owners = new Map<string, OwnerState>()
  /** Owners by cgroup, also of containers that are gone: their last events arrive after them. */
  readonly #byCgroup = new Map<number, SocketOwner>()
  readonly #rows = new Map<string, RowState>()

  /**
   * Takes in a reading.
   *
   * @param now milliseconds of any steady clock
   * @returns the figures of everyone that `owners` knows, and the rows that the kernel need not keep
   */
  update(
    { rows, long, live }: TcpHealthInput,
    owners: SocketOwners,
    now: number,
  ): { figures: TcpHealthFigures[]; forgotten: ForgottenOwner[] } {
    const present = owners.all()
    for (const owner of present) this.#state(owner).presentAt = now
    const find = (cgroupId: number, namespace: number): SocketOwner | undefined => {
      const strong = owners.byCgroup(cgroupId) ?? this.#byCgroup.get(cgroupId)
      if (strong === undefined) return owners.of(cgroupId, namespace)
      this.#byCgroup.set(cgroupId, strong)
      return strong
    }
    const forgotten = this.#addRows(rows, find, now)
    const open = sumLive(live, find)
    const longByOwner = new Map<string, number>()
    for (const { cgroupId, namespace, count } of long) {
      const key = find(cgroupId, namespace)?.key
      if (key !== undefined) longByOwner.set(key, (longByOwner.get(key) ?? 0) + count)
    }
    this.#dropOwners(now)
    const figures = present.map((owner): TcpHealthFigures => {
      const state = this.#state(owner)
      const now = open.get(owner.key)
      const ended = state.counters
      // A connection that ends between the two readings is in both or in neither: a counter must not go back for it.
      state.bytesReceived = Math.max(
        state.bytesReceived,
        (ended[tcpHealthField.bytesReceived] ?? 0) + (now?.bytesReceived ?? 0),
      )
      state.bytesAcked = Math.max(
        state.bytesAcked,
        (ended[tcpHealthField.bytesAcked] ?? 0) + (now?.bytesAcked ?? 0),
      )
      return {
        owner,
        counters: ended,
        bytesReceived: state.bytesReceived,
        bytesAcked: state.bytesAcked,
        rtt: now?.rtt ?? noConnections,
        long: longByOwner.get(owner.key) ?? 0,
      }
    })
    return { figures, forgotten }
  }

  #addRows(
    rows: TcpHealthRows,
    find: (cgroupId: number, namespace: number) => SocketOwner | undefined,
    now: number,
  ): ForgottenOwner[] {
    const forgotten: ForgottenOwner[] = []
    for (let row = 0; row < rows.length; row += 1) {
      const cgroupId = rows.cgroupId[row] ?? 0
      const namespace = rows.namespace[row] ?? 0
      const key = `${cgroupId} ${namespace}`
      let state = this.#rows.get(key)
      if (state === undefined) {
        state = { last: new Float64Array(tcpHealthFields), ownedAt: now }
        this.#rows.set(key, state)
      }
      const owner = find(cgroupId, namespace)
      const owned = owner === undefined ? undefined : this.#owners.get(owner.key)
      if (owned !== undefined) {
        addGrowth(owned.counters, rows.counters, row * tcpHealthFields, state.last)
        if (owned.presentAt === now) state.ownedAt = now
      }
      if (now - state.ownedAt <= keepMs) continue
      this.#rows.delete(key)
      this.#byCgroup.delete(cgroupId)
      forgotten.push({ cgroupId, namespace })
    }
    return forgotten
  }

  #dropOwners(now: number): void {
    for (const [key, { presentAt }] of this.#owners) if (now - presentAt > keepMs) this.#owners.delete(key)
  }

  #state(owner: SocketOwner): OwnerState {
    let state = this.#owners.get(owner.key)
    if (state === undefined) {
      state = { counters: new Float64Array(tcpHealthFields), bytesReceived: 0, bytesAcked: 0, presentAt: 0 }
      this.#owners.set(owner.key, state)
    }
    return state
  }
}

const noConnections = new Uint32Array(rttBuckets)

/** Adds to `totals` what grew since `last`, and makes `last` the present. A row that was forgotten begins at zero. */
function addGrowth(totals: Float64Array, counters: Float64Array, at: number, last: Float64Array): void {
  for (let field = 0; field < tcpHealthFields; field += 1) {
    const value = counters[at + field] ?? 0
    const before = last[field] ?? 0
    totals[field] = (totals[field] ?? 0) + (value >= before ? value - before : value)
    last[field] = value
  }
}

interface OpenConnections {
  bytesReceived: number
  bytesAcked: number
  readonly rtt: Uint32Array
}

function sumLive(
  live: LiveTcp | undefined,
  find: (cgroupId: number, namespace: number) => SocketOwner | undefined,
): Map<string, OpenConnections> {
  const sums = new Map<string, OpenConnections>()
  for (let row = 0; row < (live?.length ?? 0); row += 1) {
    const key = find(live?.cgroupId[row] ?? 0, live?.namespace[row] ?? 0)?.key
    if (key === undefined) continue
    let sum = sums.get(key)
    if (sum === undefined) {
      sum = { bytesReceived: 0, bytesAcked: 0, rtt: new Uint32Array(rttBuckets) }
      sums.set(key, sum)
    }
    sum.bytesReceived += live?.bytesReceived[row] ?? 0
    sum.bytesAcked += live?.bytesAcked[row] ?? 0
    for (let bucket = 0; bucket < rttBuckets; bucket += 1)
      sum.rtt[bucket] = (sum.rtt[bucket] ?? 0) + (live?.rtt[row * rttBuckets + bucket] ?? 0)
  }
  return sums
}
