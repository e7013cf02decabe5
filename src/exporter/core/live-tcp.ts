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

/** Numbers of an owner's key: namespace, and its cgroup in two words. */
const keyWords = 3

/** Sums by owner: a hash table with open addressing over typed arrays, since every connection of the node is looked up in it. */
export class LiveTcpBuilder {
  /** An owner's index + 1; 0: free, and at least half of them are. */
  #slots = new Int32Array(512)
  #owners = 0
  #keys = new Int32Array(256 * keyWords)
  #bytesReceived = new Float64Array(256)
  #bytesAcked = new Float64Array(256)
  #rtt = new Uint32Array(256 * rttBuckets)

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
    const owner = this.addConnection(namespace, cgroupId, Math.floor(cgroupId / 2 ** 32), state, srttUs)
    if (owner >= 0) this.addBytes(owner, bytesReceived, bytesAcked)
  }

  /**
   * The part of {@link add} without the bytes, from numbers of 32 bits alone, signed or not: for larger ones V8 makes an object
   * wherever they are handed over.
   *
   * @returns the owner's index, for {@link addBytes}; -1: ignored
   */
  addConnection(
    namespace: number,
    cgroupLow: number,
    cgroupHigh: number,
    state: number,
    srttUs: number,
  ): number {
    if ((cgroupLow | cgroupHigh) === 0 || state === tcpState.listen) return -1
    const owner = this.#owner(namespace | 0, cgroupLow | 0, cgroupHigh | 0)
    if (state === tcpState.established && srttUs !== 0) {
      let bucket = 0
      while (bucket < rttBoundsUs.length && srttUs > (rttBoundsUs[bucket] ?? 0)) bucket += 1
      const at = owner * rttBuckets + bucket
      this.#rtt[at] = (this.#rtt[at] ?? 0) + 1
    }
    return owner
  }

  addBytes(owner: number, received: number, acked: number): void {
    this.#bytesReceived[owner] = (this.#bytesReceived[owner] ?? 0) + received
    this.#bytesAcked[owner] = (this.#bytesAcked[owner] ?? 0) + acked
  }

  finish(): LiveTcp {
    const length = this.#owners
    const keys = this.#keys
    const cgroupId = new Float64Array(length)
    const namespace = new Uint32Array(length)
    for (let owner = 0; owner < length; owner += 1) {
      const at = owner * keyWords
      namespace[owner] = keys[at] ?? 0
      cgroupId[owner] = ((keys[at + 1] ?? 0) >>> 0) + (keys[at + 2] ?? 0) * 2 ** 32
    }
    return {
      ...{ length, cgroupId, namespace },
      bytesReceived: this.#bytesReceived.slice(0, length),
      bytesAcked: this.#bytesAcked.slice(0, length),
      rtt: this.#rtt.slice(0, length * rttBuckets),
    }
  }

  #owner(namespace: number, cgroupLow: number, cgroupHigh: number): number {
    const slots = this.#slots
    const keys = this.#keys
    const mask = slots.length - 1
    for (let slot = hashOf(namespace, cgroupLow, cgroupHigh) & mask; ; slot = (slot + 1) & mask) {
      const owner = (slots[slot] ?? 0) - 1
      if (owner < 0) {
        slots[slot] = this.#owners + 1
        return this.#append(namespace, cgroupLow, cgroupHigh)
      }
      const at = owner * keyWords
      if (keys[at] === namespace && keys[at + 1] === cgroupLow && keys[at + 2] === cgroupHigh) return owner
    }
  }

  #append(namespace: number, cgroupLow: number, cgroupHigh: number): number {
    const owner = this.#owners
    this.#owners += 1
    this.#keys.set([namespace, cgroupLow, cgroupHigh], owner * keyWords)
    if (this.#owners * 2 >= this.#slots.length) this.#grow()
    return owner
  }

  #grow(): void {
    this.#keys = doubled(this.#keys, Int32Array)
    this.#bytesReceived = doubled(this.#bytesReceived, Float64Array)
    this.#bytesAcked = doubled(this.#bytesAcked, Float64Array)
    this.#rtt = doubled(this.#rtt, Uint32Array)
    const slots = new Int32Array(this.#slots.length * 2)
    const mask = slots.length - 1
    for (let owner = 0; owner < this.#owners; owner += 1) {
      const at = owner * keyWords
      let slot = hashOf(this.#keys[at] ?? 0, this.#keys[at + 1] ?? 0, this.#keys[at + 2] ?? 0) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = owner + 1
    }
    this.#slots = slots
  }
}

function hashOf(namespace: number, cgroupLow: number, cgroupHigh: number): number {
  const hash = Math.imul(namespace, 0x9e3779b1) + Math.imul(cgroupLow, 0x85ebca77) + cgroupHigh
  return hash ^ (hash >>> 15)
}

function doubled<T extends Int32Array | Uint32Array | Float64Array>(
  from: T,
  type: new (length: number) => T,
): T {
  const to = new type(from.length * 2)
  to.set(from)
  return to
}
