/**
 * What the eBPF program tcp-health.bpf.c keeps in its maps: the structures of src/exporter/bpf/tcp-health.h, which asserts
 * the same sizes and offsets. In the machine's byte order, which is little-endian wherever podsonar runs.
 */

/** Bytes of `struct tcp_health_key`. */
export const ownerKeySize = 16
/** Bytes of `struct tcp_health`, of one processor. */
export const tcpHealthSize = 248
/** Bytes of `struct tcp_connection`. */
export const tcpConnectionSize = 32

/** Places of the counters in `struct tcp_health`, in words of eight bytes. */
export const tcpHealthField = {
  connects: 0,
  accepts: 1,
  retransmits: 2,
  resetsReceived: 3,
  resetsSent: 4,
  bytesReceived: 5,
  bytesAcked: 6,
  connectNs: 7,
  lifetimeNs: 8,
  failures: 9,
  connectBuckets: 15,
  lifetimeBuckets: 24,
} as const
/** Number of counters in `struct tcp_health`. */
export const tcpHealthFields = tcpHealthSize / 8

/** Names of `enum tcp_failure`, in its order. */
export const failureReasons = ['refused', 'timed_out', 'unreachable', 'reset', 'local', 'other'] as const
/** Upper bounds of the buckets in seconds: CONNECT_BOUNDS and LIFETIME_BOUNDS; one more bucket takes the rest. */
export const connectBounds: readonly number[] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.5, 5, 15]
export const lifetimeBounds: readonly number[] = [0.1, 1, 10, 60, 600, 3600]

/** The counters of all owners, a row each. */
export interface TcpHealthRows {
  readonly length: number
  /** Cgroup v2 id; 0: not known. */
  readonly cgroupId: Float64Array
  /** Inode of the network namespace. */
  readonly namespace: Uint32Array
  /** {@link tcpHealthFields} numbers a row, summed over processors. */
  readonly counters: Float64Array
}

/**
 * Sums the counters of an owner over all processors.
 *
 * @param keys at least as many keys as `length`, and `values` as many times `processors` values
 */
export function decodeTcpHealth(
  keys: Uint8Array,
  values: Uint8Array,
  length: number,
  processors: number,
): TcpHealthRows {
  const key = new DataView(keys.buffer, keys.byteOffset, keys.byteLength)
  const words = new Uint32Array(values.buffer, values.byteOffset, values.byteLength / 4)
  const rows = {
    length,
    cgroupId: new Float64Array(length),
    namespace: new Uint32Array(length),
    counters: new Float64Array(length * tcpHealthFields),
  }
  for (let row = 0; row < length; row += 1) {
    rows.cgroupId[row] = Number(key.getBigUint64(row * ownerKeySize, true))
    rows.namespace[row] = key.getUint32(row * ownerKeySize + 8, true)
    for (let field = 0; field < tcpHealthFields; field += 1) {
      let sum = 0
      for (let processor = 0; processor < processors; processor += 1) {
        const at = ((row * processors + processor) * tcpHealthFields + field) * 2
        sum += (words[at] ?? 0) + (words[at + 1] ?? 0) * 0x1_0000_0000
      }
      rows.counters[row * tcpHealthFields + field] = sum
    }
  }
  return rows
}

/** The rows of all parts, one behind the other. */
export function joinTcpHealth(parts: readonly TcpHealthRows[]): TcpHealthRows {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const joined = {
    length,
    cgroupId: new Float64Array(length),
    namespace: new Uint32Array(length),
    counters: new Float64Array(length * tcpHealthFields),
  }
  let row = 0
  for (const part of parts) {
    joined.cgroupId.set(part.cgroupId, row)
    joined.namespace.set(part.namespace, row)
    joined.counters.set(part.counters, row * tcpHealthFields)
    row += part.length
  }
  return joined
}

/** Who has how many connections of a kind. */
export interface OwnerCount {
  readonly cgroupId: number
  readonly namespace: number
  count: number
}

/** Counts, by owner, the connections that have stood since before a moment. Values come in batches. */
export class LongConnections {
  readonly #before: bigint
  readonly #owners = new Map<string, OwnerCount>()
  #seen = 0

  /** @param before of CLOCK_MONOTONIC, in nanoseconds, as `process.hrtime.bigint()` counts them */
  constructor(before: bigint) {
    this.#before = before
  }

  /** @param values as many `struct tcp_connection` as `length` */
  add(values: Uint8Array, length: number): void {
    const view = new DataView(values.buffer, values.byteOffset, values.byteLength)
    this.#seen += length
    for (let at = 0; at < length * tcpConnectionSize; at += tcpConnectionSize) {
      if (view.getUint32(at + 24, true) === 0 || view.getBigUint64(at + 16, true) >= this.#before) continue
      const cgroupId = Number(view.getBigUint64(at, true))
      const namespace = view.getUint32(at + 8, true)
      const key = `${cgroupId} ${namespace}`
      const owner = this.#owners.get(key)
      if (owner === undefined) this.#owners.set(key, { cgroupId, namespace, count: 1 })
      else owner.count += 1
    }
  }

  get counts(): OwnerCount[] {
    return [...this.#owners.values()]
  }

  /** How many connections were looked at, long or not, standing or not. */
  get seen(): number {
    return this.#seen
  }
}
