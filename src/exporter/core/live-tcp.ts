/** What the open TCP connections of a moment add up to, by owner: the part of TCP health that a pass over the table gives. */
import { tcpState } from './socket-table.ts'

/** Upper bounds of the round-trip buckets in seconds; one more bucket takes the rest. */
export const rttBounds: readonly number[] = [0.0005, 0.001, 0.005, 0.02, 0.05, 0.1, 0.3]
const rttBoundsUs = rttBounds.map((seconds) => seconds * 1_000_000)
/** Number of round-trip buckets. */
export const rttBuckets: number = rttBounds.length + 1

/** Owners' sums, a row each. */
export interface LiveTcp {
  readonly length: number
  /** Cgroup v2 id; 0: not known. */
  readonly cgroupId: Float64Array
  /** Inode of the network namespace. */
  readonly namespace: Uint32Array
  readonly bytesReceived: Float64Array
  readonly bytesAcked: Float64Array
  /** {@link rttBuckets} numbers a row: established connections by smoothed round-trip time; not cumulative. */
  readonly rtt: Uint32Array
}

/** The owners within one namespace. Nearly always one to three: found by looking at each. */
interface NamespaceOwners {
  readonly cgroupIds: number[]
  readonly indexes: number[]
}

export class LiveTcpBuilder {
  readonly #namespaces = new Map<number, NamespaceOwners>()
  readonly #cgroupIds: number[] = []
  readonly #inodes: number[] = []
  readonly #bytesReceived: number[] = []
  readonly #bytesAcked: number[] = []
  readonly #rtt: number[] = []

  /**
   * Counts a TCP socket; those that are no connection, or without an owner, are ignored.
   *
   * @param namespace inode, also as a signed number
   * @param srttUs smoothed round-trip time in microseconds; 0: not known
   */
  add(
    namespace: number,
    cgroupId: number,
    state: number,
    srttUs: number,
    bytesReceived: number,
    bytesAcked: number,
  ): void {
    if (cgroupId === 0 || state === tcpState.listen) return
    const index = this.#index(namespace, cgroupId)
    this.#bytesReceived[index] = (this.#bytesReceived[index] ?? 0) + bytesReceived
    this.#bytesAcked[index] = (this.#bytesAcked[index] ?? 0) + bytesAcked
    if (state !== tcpState.established || srttUs === 0) return
    let bucket = 0
    while (bucket < rttBoundsUs.length && srttUs > (rttBoundsUs[bucket] ?? 0)) bucket += 1
    const at = index * rttBuckets + bucket
    this.#rtt[at] = (this.#rtt[at] ?? 0) + 1
  }

  finish(): LiveTcp {
    return {
      length: this.#cgroupIds.length,
      cgroupId: Float64Array.from(this.#cgroupIds),
      namespace: Uint32Array.from(this.#inodes),
      bytesReceived: Float64Array.from(this.#bytesReceived),
      bytesAcked: Float64Array.from(this.#bytesAcked),
      rtt: Uint32Array.from(this.#rtt),
    }
  }

  #index(namespace: number, cgroupId: number): number {
    let owners = this.#namespaces.get(namespace | 0)
    if (owners === undefined) {
      owners = { cgroupIds: [], indexes: [] }
      this.#namespaces.set(namespace | 0, owners)
    }
    const known = owners.indexes[owners.cgroupIds.indexOf(cgroupId)]
    if (known !== undefined) return known
    const index = this.#cgroupIds.push(cgroupId) - 1
    this.#inodes.push(namespace >>> 0)
    this.#bytesReceived.push(0)
    this.#bytesAcked.push(0)
    for (let bucket = 0; bucket < rttBuckets; bucket += 1) this.#rtt.push(0)
    owners.cgroupIds.push(cgroupId)
    owners.indexes.push(index)
    return index
  }
}
