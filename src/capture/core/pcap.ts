/**
 * The pcap file format, as far as it takes to cut one at packets. Source: draft-ietf-opsawg-pcap: a header of 24 bytes,
 * then for each packet a header of 16 bytes and its bytes, all in the byte order of the magic number.
 */
import { PodsonarError } from '../../common/errors.ts'

export const pcapFileHeaderBytes = 24
export const pcapRecordHeaderBytes = 16

/** The first words of a pcap file: times in microseconds, in nanoseconds. */
const magics = { micro: 0xa1b2_c3d4, nano: 0xa1b2_3c4d } as const

/** What a pcap file says of itself. */
export interface PcapHeader {
  readonly littleEndian: boolean
  /** Times are in nanoseconds, not microseconds. */
  readonly nanoseconds: boolean
  readonly snaplen: number
  readonly linkType: number
}

/** @throws PodsonarError `not_pcap` unless `bytes` begin with a pcap file header */
export function readPcapHeader(bytes: Buffer): PcapHeader {
  for (const littleEndian of [true, false]) {
    const word = (at: number): number => (littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at))
    const magic = bytes.length < pcapFileHeaderBytes ? 0 : word(0)
    if (magic === magics.micro || magic === magics.nano)
      return {
        ...{ littleEndian, nanoseconds: magic === magics.nano, snaplen: word(16) },
        // The upper bits say how long frame check sequences are.
        linkType: word(20) & 0xffff,
      }
  }
  throw new PodsonarError('not_pcap', 'Cannot read a capture: it does not begin as a pcap file does')
}

/** No packet is longer: tcpdump's largest snaplen, and some room. */
const maxPacketBytes = 1 << 20

/**
 * Lets a pcap stream pass up to its last whole packet, counts packets, and ends it before it gets too large. What has
 * passed is a valid pcap file at any moment.
 */
export class PcapFramer {
  /** Packets that have passed. */
  packets = 0
  /** Bytes that have passed. */
  bytes = 0
  /** The next packet would have made it too large: nothing passes any more. */
  full = false
  /** From the file header; undefined until it has come. */
  header: PcapHeader | undefined
  readonly #maxBytes: number
  /** Begun and not whole yet. */
  #pending: Buffer[] = []
  #pendingBytes = 0
  /** Bytes that the packet in work still lacks. */
  #lacking = 0
  /** A header that came in two pieces. */
  #headerPart: Buffer = Buffer.alloc(0)

  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.#maxBytes = maxBytes
  }

  /**
   * Takes the next piece of the stream.
   *
   * @returns what may pass now, in order, without copies
   * @throws PodsonarError `not_pcap`
   */
  take(chunk: Buffer): Buffer[] {
    if (this.full) return []
    let at = 0
    let boundary = -1
    while (at < chunk.length) {
      if (this.#lacking > 0) {
        const step = Math.min(this.#lacking, chunk.length - at)
        at += step
        this.#lacking -= step
        if (this.#lacking > 0) break
        this.packets += 1
      } else {
        const header = this.#nextHeader(chunk, at)
        if (header === undefined) break
        at += header.used
        const passed = this.bytes + (boundary < 0 ? 0 : this.#pendingBytes + boundary)
        if (header.isPacket && passed + pcapRecordHeaderBytes + header.body > this.#maxBytes) {
          this.full = true
          break
        }
        this.#lacking = header.body
        if (header.body > 0) continue
        if (header.isPacket) this.packets += 1
      }
      boundary = at
    }
    if (boundary < 0) {
      this.#keep(chunk)
      return []
    }
    const passing = [...this.#pending, chunk.subarray(0, boundary)]
    this.bytes += this.#pendingBytes + boundary
    this.#pending = []
    this.#pendingBytes = 0
    if (boundary < chunk.length) this.#keep(chunk.subarray(boundary))
    return passing
  }

  #keep(rest: Buffer): void {
    if (this.full) return
    this.#pending.push(rest)
    this.#pendingBytes += rest.length
  }

  /** The file's header or a packet's, once all of it is there: how much of `chunk` it takes, and the bytes that follow it. */
  #nextHeader(
    chunk: Buffer,
    at: number,
  ): { readonly used: number; readonly body: number; readonly isPacket: boolean } | undefined {
    const size = this.header === undefined ? pcapFileHeaderBytes : pcapRecordHeaderBytes
    const missing = size - this.#headerPart.length
    if (chunk.length - at < missing) {
      this.#headerPart = Buffer.concat([this.#headerPart, chunk.subarray(at)])
      return undefined
    }
    const inPlace = this.#headerPart.length === 0
    const bytes = inPlace ? chunk : Buffer.concat([this.#headerPart, chunk.subarray(at, at + missing)])
    const offset = inPlace ? at : 0
    this.#headerPart = Buffer.alloc(0)
    if (this.header === undefined) {
      this.header = readPcapHeader(bytes.subarray(offset))
      return { used: missing, body: 0, isPacket: false }
    }
    const body = this.header.littleEndian ? bytes.readUInt32LE(offset + 8) : bytes.readUInt32BE(offset + 8)
    if (body > maxPacketBytes)
      throw new PodsonarError('not_pcap', `Cannot read a capture: a packet of ${body} bytes, expected fewer`)
    return { used: missing, body, isPacket: true }
  }
}
