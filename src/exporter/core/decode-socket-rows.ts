/**
 * What the eBPF program socket-table.bpf.c writes: `struct socket_row` and `struct socket_pass` of
 * src/exporter/bpf/socket-table.h, which asserts the same sizes and offsets. In the machine's byte order, which is
 * little-endian wherever podsonar runs.
 */
import { isLoopback } from './address.ts'
import type { LiveTcpBuilder } from './live-tcp.ts'
import type { SocketTableBuilder } from './socket-table-builder.ts'
import { SocketRow } from './socket-table.ts'

/** Bytes of `struct socket_row`. */
export const socketRowSize = 88
/** Bytes of `struct socket_pass`. */
export const socketPassSize = 56

/** Offsets in a row, in words of four bytes. */
const word = {
  local: 0,
  remote: 4,
  netns: 8,
  uid: 9,
  cgroupId: 10,
  bytesAcked: 12,
  bytesReceived: 14,
  rxQueue: 16,
  txQueue: 17,
  srttUs: 18,
  losses: 19,
  ports: 20,
  kind: 21,
} as const
const rowWords = socketRowSize / 4

/** IPPROTO_UDP. */
const udp = 17

/** A socket with all that the kernel's memory says of it. */
export class DetailedSocketRow extends SocketRow {
  /** Owner; 0 also where it is not known (TIME_WAIT). */
  uid = 0
  /** TCP: smoothed round-trip time in microseconds; 0 before the first sample and for other states than connected. */
  srttUs = 0
  /** TCP: segments that were sent again. */
  retransmits = 0
  /** TCP: bytes that the peer acknowledged. */
  bytesAcked = 0
  /** TCP */
  bytesReceived = 0
}

/** The rows of a pass, in the memory that the kernel wrote: nothing is copied. */
export class SocketRows {
  readonly #words: Uint32Array
  /** The same; V8 handles signed words faster. */
  readonly #signed: Int32Array
  readonly #row = new DetailedSocketRow()

  /** @param memory rows, one after the other, from its first byte on */
  constructor(memory: ArrayBuffer) {
    this.#words = new Uint32Array(memory)
    this.#signed = new Int32Array(memory)
  }

  /**
   * Counts the first `length` rows, those of TCP without a row object for each: this is where a pass over a big table
   * spends most of its time in user space.
   */
  addTo(table: SocketTableBuilder, live: LiveTcpBuilder | undefined, length: number): void {
    const words = this.#signed
    for (let index = 0; index < length; index += 1) {
      const at = index * rowWords
      const kind = words[at + word.kind] ?? 0
      if (((kind >>> 16) & 255) === udp) {
        this.read(index, this.#row)
        table.add(this.#row)
        continue
      }
      const namespace = words[at + word.netns] ?? 0
      const cgroupLow = words[at + word.cgroupId] ?? 0
      const cgroupHigh = words[at + word.cgroupId + 1] ?? 0
      const ports = words[at + word.ports] ?? 0
      const swapped = (ports << 16) | (ports >>> 16)
      const state = kind & 255
      const family = ((kind >>> 8) & 255) === 4 ? 4 : 6
      const remote = at + word.remote
      if (kind >>> 24 !== 0) table.addPartial(namespace, family)
      const loopback = isLoopback(words, family, at + word.local) && isLoopback(words, family, remote)
      const first = words[remote] ?? 0
      if (family === 4) {
        table.addTcp(namespace, 4, state, cgroupLow, cgroupHigh, loopback, 0, 0, 0xffff, first, swapped)
      } else {
        const second = words[remote + 1] ?? 0
        const third = words[remote + 2] ?? 0
        const fourth = words[remote + 3] ?? 0
        // prettier-ignore
        table.addTcp(namespace, 6, state, cgroupLow, cgroupHigh, loopback, first, second, third, fourth, swapped)
      }
      if (live === undefined) continue
      const owner = live.addConnection(namespace, cgroupLow, cgroupHigh, state, words[at + word.srttUs] ?? 0)
      if (owner >= 0)
        live.addBytes(owner, this.#number64(at + word.bytesReceived), this.#number64(at + word.bytesAcked))
    }
  }

  /** Reads row `index` into `row`. An IPv4 address fills only the first word. */
  read(index: number, row: DetailedSocketRow): void {
    const words = this.#words
    const at = index * rowWords
    const ports = words[at + word.ports] ?? 0
    const kind = words[at + word.kind] ?? 0
    const losses = words[at + word.losses] ?? 0
    const isUdp = ((kind >>> 16) & 255) === udp
    row.namespace = words[at + word.netns] ?? 0
    row.uid = words[at + word.uid] ?? 0
    row.cgroupId = this.#number64(at + word.cgroupId)
    row.bytesAcked = this.#number64(at + word.bytesAcked)
    row.bytesReceived = this.#number64(at + word.bytesReceived)
    row.rxQueue = words[at + word.rxQueue] ?? 0
    row.txQueue = words[at + word.txQueue] ?? 0
    row.srttUs = words[at + word.srttUs] ?? 0
    row.localPort = ports & 0xffff
    row.remotePort = ports >>> 16
    row.state = kind & 255
    row.family = ((kind >>> 8) & 255) === 4 ? 4 : 6
    row.protocol = isUdp ? 'udp' : 'tcp'
    row.drops = isUdp ? losses : 0
    row.retransmits = isUdp ? 0 : losses
    const length = row.family === 4 ? 1 : 4
    for (let k = 0; k < length; k += 1) {
      row.local[k] = words[at + word.local + k] ?? 0
      row.remote[k] = words[at + word.remote + k] ?? 0
    }
  }

  #number64(at: number): number {
    return (this.#words[at] ?? 0) + (this.#words[at + 1] ?? 0) * 2 ** 32
  }
}

/** Where a pass stands. */
export interface SocketPass {
  /** Sockets found so far; may be more than the rows' memory takes, which holds the first ones then. */
  readonly rows: number
  /** Chains that kept changing under the walk: sockets of theirs may be missing or double. */
  readonly torn: number
  /** Chains that were walked again because they had changed. */
  readonly retried: number
  /** Network namespaces of the node. */
  readonly namespaces: number
  /** Hash tables that belong to one namespace alone. */
  readonly privateTables: number
  readonly done: boolean
  /** The kernel's list of namespaces was not as the program expects it. */
  readonly failed: boolean
}

/** PHASE_DONE of socket-table.h. */
const phaseDone = 4

export function decodeSocketPass(bytes: Uint8Array): SocketPass {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    rows: Number(view.getBigUint64(0, true)),
    torn: Number(view.getBigUint64(8, true)),
    retried: Number(view.getBigUint64(16, true)),
    done: view.getUint32(32, true) === phaseDone,
    namespaces: view.getUint32(36, true),
    privateTables: view.getUint32(40, true),
    failed: view.getUint16(44, true) !== 0,
  }
}
