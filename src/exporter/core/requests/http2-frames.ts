/**
 * One direction of an HTTP/2 connection, cut into frames (RFC 9113 section 4) from the bytes that were captured and the numbers
 * of those that were not.
 */

export const frameType = {
  ...{ data: 0, headers: 1, priority: 2, reset: 3, settings: 4, pushPromise: 5, ping: 6 },
  ...{ goAway: 7, windowUpdate: 8, continuation: 9 },
} as const
export const frameFlag = { endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const

export interface FrameHeader {
  readonly length: number
  readonly type: number
  readonly flags: number
  readonly stream: number
}

export interface FrameOwner {
  /** The first byte of a frame was moved. */
  onFrame(frames: Http2Frames, header: FrameHeader, atNs: number): void
  /** All of a frame was moved. `payload`: of the types that are kept, else empty. */
  onFrameEnd(frames: Http2Frames, header: FrameHeader, payload: Uint8Array, atNs: number): void
  /** The place in the sequence of frames was lost, or a frame was too long to be kept. */
  onLost(frames: Http2Frames): void
}

const headerSize = 9
/** Longest payload that is kept. */
const maxKept = 65_536
/** What peers send unless they were allowed more: SETTINGS_MAX_FRAME_SIZE. */
const usualMaxLength = 16_384
const nothing = new Uint8Array(0)

export class Http2Frames {
  readonly #owner: FrameOwner
  readonly #header = new Uint8Array(headerSize)
  #have = 0
  #frame: FrameHeader | undefined
  #remaining = 0
  #kept: Uint8Array | undefined
  #keptLength = 0
  #inSequence: boolean

  /** @param inSequence the first byte is that of a frame; else the first frame is looked for */
  constructor(owner: FrameOwner, inSequence: boolean) {
    this.#owner = owner
    this.#inSequence = inSequence
  }

  /** Bytes that follow those before; `first`: they are the first of a send or receive. */
  push(data: Uint8Array, first: boolean, atNs: number): void {
    if (!this.#inSequence) {
      if (!first || !beginsFrames(data)) return
      this.#inSequence = true
    }
    let at = 0
    while (at < data.length && this.#isInSequence()) {
      if (this.#frame === undefined) {
        const take = Math.min(headerSize - this.#have, data.length - at)
        this.#header.set(data.subarray(at, at + take), this.#have)
        this.#have += take
        at += take
        if (this.#have === headerSize) this.#begin(atNs)
      } else {
        const take = Math.min(this.#remaining, data.length - at)
        if (this.#kept !== undefined) {
          this.#kept.set(data.subarray(at, at + take), this.#keptLength)
          this.#keptLength += take
        }
        at += take
        this.#take(take, atNs)
      }
    }
  }

  /** Bytes that moved and were not captured: harmless within a frame that is not kept. */
  gap(bytes: number, atNs: number): void {
    if (!this.#inSequence) return
    if (this.#frame !== undefined && this.#kept === undefined && bytes <= this.#remaining)
      this.#take(bytes, atNs)
    else this.#lose()
  }

  /** A call, because frames that are read may change it. */
  #isInSequence(): boolean {
    return this.#inSequence
  }

  #begin(atNs: number): void {
    const header = readHeader(this.#header, 0)
    this.#have = 0
    if (!isPlausible(header, 0xff_ffff)) {
      this.#lose()
      return
    }
    this.#frame = header
    this.#remaining = header.length
    this.#owner.onFrame(this, header, atNs)
    if (isKept(header.type)) {
      if (header.length > maxKept) this.#owner.onLost(this)
      else this.#kept = new Uint8Array(header.length)
    }
    this.#keptLength = 0
    if (header.length === 0) this.#end(atNs)
  }

  #take(bytes: number, atNs: number): void {
    this.#remaining -= bytes
    if (this.#remaining === 0) this.#end(atNs)
  }

  #end(atNs: number): void {
    const [frame, kept] = [this.#frame, this.#kept]
    this.#frame = undefined
    this.#kept = undefined
    if (frame !== undefined) this.#owner.onFrameEnd(this, frame, kept ?? nothing, atNs)
  }

  #lose(): void {
    this.#inSequence = false
    this.#frame = undefined
    this.#kept = undefined
    this.#have = 0
    this.#owner.onLost(this)
  }
}

function isKept(type: number): boolean {
  return (
    type === frameType.headers ||
    type === frameType.continuation ||
    type === frameType.pushPromise ||
    type === frameType.reset
  )
}

function readHeader(data: Uint8Array, at: number): FrameHeader {
  const octet = (index: number): number => data[at + index] ?? 0
  return {
    length: (octet(0) << 16) | (octet(1) << 8) | octet(2),
    type: octet(3),
    flags: octet(4),
    stream: ((octet(5) & 0x7f) << 24) | (octet(6) << 16) | (octet(7) << 8) | octet(8),
  }
}

/** Whether frames of a known type have the lengths and streams that the RFC asks for; unknown types are let pass. */
function isPlausible({ length, type, stream }: FrameHeader, maxLength: number): boolean {
  if (length > maxLength) return false
  switch (type) {
    case frameType.data:
    case frameType.headers:
    case frameType.pushPromise:
    case frameType.continuation:
      return stream !== 0
    case frameType.priority:
      return length === 5 && stream !== 0
    case frameType.reset:
      return length === 4 && stream !== 0
    case frameType.settings:
      return length % 6 === 0 && stream === 0
    case frameType.ping:
      return length === 8 && stream === 0
    case frameType.goAway:
      return length >= 8 && stream === 0
    case frameType.windowUpdate:
      return length === 4
    default:
      return true
  }
}

/** Whether this looks like whole frames one behind the other, the last possibly cut: stricter, because it is a guess. */
function beginsFrames(data: Uint8Array): boolean {
  let at = 0
  for (; at + headerSize <= data.length;) {
    const header = readHeader(data, at)
    const reserved = ((data[at + 5] ?? 0) & 0x80) !== 0
    if (reserved || header.type > frameType.continuation || !isPlausible(header, usualMaxLength)) return false
    at += headerSize + header.length
  }
  return at > 0
}
