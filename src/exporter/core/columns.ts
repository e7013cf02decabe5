/** Connections in columns: row i has its values at index i of each; no object a row. */

/** Aggregated TCP sockets. */
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

/** Bytes of a row. */
export const columnBytes = 8 + 4 + 4 * 4 + 2 + 1

/** Columns in one piece of memory. @param at a multiple of eight: where they begin in it */
export function columnsIn(memory: ArrayBuffer, at: number, length: number): ConnectionColumns {
  const [counts, remotes, ports, states] = [8, 12, 28, 30].map((bytes) => at + bytes * length)
  return {
    length,
    cgroupId: new Float64Array(memory, at, length),
    count: new Uint32Array(memory, counts, length),
    remote: new Int32Array(memory, remotes, length * 4),
    remotePort: new Uint16Array(memory, ports, length),
    state: new Uint8Array(memory, states, length),
  }
}

/** Copies the rows `from` to before `to` to where `at` is in other columns. */
export function copyRows(
  source: ConnectionColumns,
  from: number,
  to: number,
  target: ConnectionColumns,
  at: number,
): void {
  target.cgroupId.set(source.cgroupId.subarray(from, to), at)
  target.count.set(source.count.subarray(from, to), at)
  target.remote.set(source.remote.subarray(from * 4, to * 4), at * 4)
  target.remotePort.set(source.remotePort.subarray(from, to), at)
  target.state.set(source.state.subarray(from, to), at)
}
