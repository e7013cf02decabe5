/** An HTTP/2 connection: streams, their requests and responses (RFC 9113 section 8), and gRPC calls on them. */
import type { Exchange, GrpcCall, OnExchange } from './exchange.ts'
import { grpcMethod, grpcStatusName, grpcStatusOfHttp, grpcStatusOfReset, isGrpc } from './grpc.ts'
import { HpackDecoder } from './hpack.ts'
import type { Direction } from './http1-connection.ts'
import { frameFlag, frameType, Http2Frames, type FrameHeader, type FrameOwner } from './http2-frames.ts'
import { pathTemplate } from './path-template.ts'

/** Streams of one connection that are followed at a time: of more, the oldest are given up. */
const maxStreams = 1_024
/** Longest header block over all its frames. */
const maxBlock = 65_536

interface Stream {
  method: string
  path: string | undefined
  authority: string | undefined
  scheme: string | undefined
  grpc: boolean
  traceparent: string | undefined
  readonly startNs: number
  readonly weight: number
  requestBytes: number
  status: number | undefined
  grpcStatus: string | undefined
  firstByteNs: number
  /** Of the last byte of the response that was seen. */
  lastByteNs: number
  responseBytes: number
}

/** What a header block says that is of interest. */
interface Block {
  method?: string
  path?: string
  authority?: string
  scheme?: string
  status?: number
  contentType?: string
  grpcStatus?: string
  traceparent?: string
}

/** One direction: its frames, its table, and the block that continues. */
interface Side {
  readonly frames: Http2Frames
  readonly hpack: HpackDecoder
  block:
    | { readonly parts: Uint8Array[]; length: number; startNs: number; endStream: boolean; pushed: boolean }
    | undefined
  /** When the last byte of a frame header came. */
  frameNs: number
}

export interface Http2Options {
  readonly scheme: 'http' | 'https'
  /** The direction of requests, when the connection's preface was seen; else it shows in the header blocks. */
  readonly requests: Direction | undefined
  readonly onExchange: OnExchange
}

export class Http2Connection implements FrameOwner {
  readonly #options: Http2Options
  readonly #sides: Record<Direction, Side>
  readonly #streams = new Map<number, Stream>()
  #requests: Direction | undefined
  #certain = false

  constructor(options: Http2Options) {
    this.#options = options
    this.#requests = options.requests
    const side = (): Side => ({
      frames: new Http2Frames(this, options.requests !== undefined),
      hpack: new HpackDecoder(),
      block: undefined,
      frameNs: 0,
    })
    this.#sides = { sent: side(), received: side() }
  }

  /** Whether it speaks HTTP/2 beyond doubt: a preface or a header block with a method or a status was seen. */
  get certain(): boolean {
    return this.#certain || this.#options.requests !== undefined
  }

  push(direction: Direction, data: Uint8Array, first: boolean, atNs: number): void {
    this.#sides[direction].frames.push(data, first, atNs)
  }

  gap(direction: Direction, bytes: number, atNs: number): void {
    this.#sides[direction].frames.gap(bytes, atNs)
  }

  /** The connection ended: requests without a response are told as such. */
  close(atNs: number): void {
    for (const stream of this.#streams.values()) this.#giveUp(stream, atNs)
    this.#streams.clear()
  }

  onFrame(frames: Http2Frames, _header: FrameHeader, atNs: number): void {
    this.#side(frames).frameNs = atNs
  }

  onFrameEnd(frames: Http2Frames, header: FrameHeader, payload: Uint8Array, atNs: number): void {
    const side = this.#side(frames)
    switch (header.type) {
      case frameType.data:
        this.#onData(side, header, atNs)
        break
      case frameType.headers:
        this.#onHeaders(side, header, payload, atNs)
        break
      case frameType.pushPromise:
        side.block = { parts: [], length: 0, startNs: side.frameNs, endStream: false, pushed: true }
        this.#onFragment(side, header, unpadded(header, payload)?.subarray(4), atNs)
        break
      case frameType.continuation:
        this.#onFragment(side, header, payload, atNs)
        break
      case frameType.reset:
        this.#onReset(header.stream, payload, atNs)
        break
    }
  }

  onLost(frames: Http2Frames): void {
    const side = this.#side(frames)
    side.hpack.forget()
    side.block = undefined
  }

  #onData(side: Side, { stream: id, length, flags }: FrameHeader, atNs: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    if (side === this.#requestSide()) {
      stream.requestBytes += length
      return
    }
    stream.responseBytes += length
    stream.lastByteNs = atNs
    if ((flags & frameFlag.endStream) !== 0) this.#finish(id, stream, atNs)
  }

  #onHeaders(side: Side, header: FrameHeader, payload: Uint8Array, atNs: number): void {
    const endStream = (header.flags & frameFlag.endStream) !== 0
    side.block = { parts: [], length: 0, startNs: side.frameNs, endStream, pushed: false }
    const fragment = unpadded(header, payload)
    const withPriority = (header.flags & frameFlag.priority) !== 0
    this.#onFragment(side, header, withPriority ? fragment?.subarray(5) : fragment, atNs)
  }

  /** Section 6.10: blocks may go on in more frames, nothing in between. */
  #onFragment(side: Side, header: FrameHeader, fragment: Uint8Array | undefined, atNs: number): void {
    const { block } = side
    if (block === undefined) return
    if (fragment === undefined || block.length + fragment.length > maxBlock) {
      this.onLost(side.frames)
      return
    }
    block.parts.push(fragment)
    block.length += fragment.length
    if ((header.flags & frameFlag.endHeaders) === 0) return
    side.block = undefined
    const [only] = block.parts
    const whole = block.parts.length === 1 && only !== undefined ? only : Buffer.concat(block.parts)
    const fields = readBlock(side.hpack, whole)
    if (!block.pushed) this.#onBlock(side, header.stream, fields, block, atNs)
  }

  #onBlock(
    side: Side,
    id: number,
    fields: Block,
    { startNs, endStream }: { startNs: number; endStream: boolean },
    atNs: number,
  ): void {
    const direction = side === this.#sides.sent ? 'sent' : 'received'
    if (fields.method !== undefined || fields.status !== undefined) {
      const requests = (fields.method !== undefined) === (direction === 'sent') ? 'sent' : 'received'
      this.#requests ??= requests
      this.#certain = true
    }
    const stream = this.#streams.get(id)
    if (direction === this.#requests) {
      if (stream === undefined && fields.method !== undefined) this.#open(id, fields, startNs)
      return
    }
    if (stream === undefined) return // its request was not seen
    if (fields.status !== undefined && fields.status < 200) return
    stream.status ??= fields.status
    if (stream.firstByteNs === 0) stream.firstByteNs = startNs
    stream.lastByteNs = atNs
    stream.grpcStatus = fields.grpcStatus ?? stream.grpcStatus
    stream.grpc ||= isGrpc(fields.contentType) || fields.grpcStatus !== undefined
    if (endStream) this.#finish(id, stream, atNs)
  }

  #open(
    id: number,
    { method = '', path, authority, scheme, contentType, traceparent }: Block,
    startNs: number,
  ): void {
    if (this.#streams.size >= maxStreams) {
      const [oldest] = this.#streams.keys()
      const stream = oldest === undefined ? undefined : this.#streams.get(oldest)
      if (oldest !== undefined) this.#streams.delete(oldest)
      if (stream?.status !== undefined) this.#giveUp(stream, startNs)
    }
    this.#streams.set(id, {
      ...{ method, path, authority, scheme, traceparent, startNs, grpc: isGrpc(contentType), weight: 1 },
      ...{ requestBytes: 0, status: undefined, grpcStatus: undefined, firstByteNs: 0, responseBytes: 0 },
      lastByteNs: 0,
    })
  }

  #onReset(id: number, payload: Uint8Array, atNs: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    const code = new DataView(payload.buffer, payload.byteOffset).getUint32(0)
    stream.grpcStatus ??= grpcStatusOfReset(code)
    this.#finish(id, stream, atNs)
  }

  /** A stream whose end was not seen. What became of a gRPC call stands at its end only. */
  #giveUp(stream: Stream, atNs: number): void {
    if (stream.status === undefined || !stream.grpc)
      this.#emit(stream, stream.lastByteNs === 0 ? atNs : stream.lastByteNs)
  }

  #finish(id: number, stream: Stream, atNs: number): void {
    this.#streams.delete(id)
    this.#emit(stream, atNs)
  }

  #emit(stream: Stream, endNs: number): void {
    const { method, path, authority, traceparent, startNs, weight, requestBytes, responseBytes, status } =
      stream
    const exchange: Exchange = {
      side: this.#requests === 'received' ? 'server' : 'client',
      ...{ version: '2', method, authority, status, traceparent, startNs, endNs, weight },
      ...{ requestBytes, responseBytes, route: path === undefined ? undefined : pathTemplate(path) },
      scheme: stream.scheme === 'https' || this.#options.scheme === 'https' ? 'https' : 'http',
      grpc: stream.grpc ? grpcCallOf(stream) : undefined,
      firstByteNs: stream.firstByteNs === 0 ? endNs : stream.firstByteNs,
    }
    this.#options.onExchange(exchange)
  }

  #side(frames: Http2Frames): Side {
    return frames === this.#sides.sent.frames ? this.#sides.sent : this.#sides.received
  }

  #requestSide(): Side | undefined {
    return this.#requests === undefined ? undefined : this.#sides[this.#requests]
  }
}

function grpcCallOf({ path, status, grpcStatus }: Stream): GrpcCall {
  const ofHttp = status === undefined ? 'UNAVAILABLE' : grpcStatusOfHttp(status)
  return {
    method: path === undefined ? undefined : (grpcMethod(path) ?? '_OTHER'),
    status: grpcStatus ?? ofHttp,
  }
}

/** Without padding: sections 6.1 and 6.2. Undefined when there is more padding than payload. */
function unpadded({ flags }: FrameHeader, payload: Uint8Array): Uint8Array | undefined {
  if ((flags & frameFlag.padded) === 0) return payload
  const end = payload.length - (payload[0] ?? 0)
  return end < 1 ? undefined : payload.subarray(1, end)
}

function readBlock(hpack: HpackDecoder, data: Uint8Array): Block {
  const block: Block = {}
  hpack.decode(data, (name, value) => {
    if (value === undefined) return
    switch (name) {
      case ':method':
        if (/^[A-Z][A-Z_-]{2,23}$/.test(value)) block.method = value
        break
      case ':path':
        block.path = value
        break
      case ':authority':
        block.authority = value
        break
      case ':scheme':
        block.scheme = value
        break
      case ':status':
        if (/^[1-5]\d\d$/.test(value)) block.status = Number(value)
        break
      case 'content-type':
        block.contentType = value
        break
      case 'grpc-status':
        block.grpcStatus = grpcStatusName(value)
        break
      case 'traceparent':
        block.traceparent = value
        break
      default:
        break
    }
  })
  return block
}
