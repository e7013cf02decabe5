/** Records of the ring that requests.bpf.c fills: struct request_event of src/exporter/bpf/requests.h, and bytes behind it. */
import { formatAddress } from '../address.ts'
import type { Direction } from './http1-connection.ts'
import type { Movement } from './connection.ts'

/** Bytes before the captured ones. */
const requestEventSize = 72
/** Bytes of struct request_losses. */
export const requestLossesSize = 48

const flag = { fromStart: 1, aligned: 2, tls: 4, unreadable: 8, continued: 16 } as const
const kinds: readonly (Direction | 'closed')[] = ['received', 'sent', 'closed']

/** One record, decoded in place: it and its data are valid until the next is decoded. */
export class RequestEvent implements Movement {
  kind: Direction | 'closed' = 'closed'
  direction: Direction = 'received'
  /** Cookie of the socket. */
  socket = 0
  cgroupId = 0
  localPort = 0
  remotePort = 0
  atNs = 0
  offset = 0
  length = 0
  skipped = 0
  captured = 0
  fromStart = false
  aligned = false
  tls = false
  unreadable = false
  continued = false
  #isIpv6 = false
  #memory: Buffer = Buffer.alloc(0)
  #at = 0

  /** What was captured, where it lies. */
  get data(): Uint8Array {
    return this.#memory.subarray(this.#at + requestEventSize, this.#at + requestEventSize + this.captured)
  }

  get text(): string {
    const at = this.#at + requestEventSize
    return this.#memory.toString('latin1', at, at + this.captured)
  }

  /** Reads the record that lies in `memory`; `view` is of the same memory. False: it is none. */
  decode(memory: Buffer, view: DataView, at: number, length: number): boolean {
    if (length < requestEventSize) return false
    const captured = view.getUint32(at + 36, true)
    const kind = kinds[view.getUint8(at + 50)]
    if (kind === undefined || captured > length - requestEventSize) return false
    const flags = view.getUint8(at + 51)
    this.kind = kind
    this.direction = kind === 'sent' ? 'sent' : 'received'
    this.socket = wide(view, at)
    this.atNs = wide(view, at + 8)
    this.offset = wide(view, at + 16)
    this.cgroupId = wide(view, at + 24)
    this.length = view.getUint32(at + 32, true)
    this.skipped = view.getUint32(at + 40, true)
    this.localPort = view.getUint16(at + 44, true)
    this.remotePort = view.getUint16(at + 46, true)
    this.#isIpv6 = view.getUint16(at + 48, true) === familyIpv6
    this.fromStart = (flags & flag.fromStart) !== 0
    this.aligned = (flags & flag.aligned) !== 0
    this.tls = (flags & flag.tls) !== 0
    this.unreadable = (flags & flag.unreadable) !== 0
    this.continued = (flags & flag.continued) !== 0
    this.captured = captured
    this.#memory = memory
    this.#at = at
    return true
  }

  /** The peer's address as text. */
  remoteAddress(): string {
    return addressText(this.#memory.subarray(this.#at + 56, this.#at + requestEventSize), this.#isIpv6)
  }
}

/** AF_INET6. */
const familyIpv6 = 10

/** Nanoseconds and cookies are below 2^53 for as long as machines run; offsets too. */
function wide(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4_294_967_296 + view.getUint32(at, true)
}

/** An address of sixteen octets as text; of IPv4 the first four count. */
export function addressText(bytes: Uint8Array, isIpv6: boolean): string {
  if (!isIpv6) return bytes.subarray(0, 4).join('.')
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  return formatAddress(Int32Array.from([0, 4, 8, 12], (at) => view.getInt32(at)))
}
