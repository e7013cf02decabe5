/** An HTTP/1 connection: which direction asks, which response belongs to which request, and what becomes of both. */
import type { Exchange, OnExchange } from './exchange.ts'
import type { Head } from './http1-head.ts'
import { Http1Stream, type Framing, type Http1Owner } from './http1-stream.ts'
import { pathTemplate } from './path-template.ts'

/** Directions as the kernel reports them, seen from the watched process. */
export type Direction = 'sent' | 'received'

/** A request that has no whole response yet. */
type Open = { -readonly [Key in keyof Exchange]: Exchange[Key] }

/** Requests of one connection that wait for their responses at most: more are not followed. */
const maxPipelined = 128

export interface Http1Options {
  readonly scheme: 'http' | 'https'
  /** The connection is watched from its first byte on. */
  readonly fromStart: boolean
  readonly onExchange: OnExchange
  /** The connection speaks HTTP/2 from here on: `text` is what follows the first 18 bytes of its preface. */
  readonly onHttp2: (requests: Direction, text: string, atNs: number) => void
}

export class Http1Connection implements Http1Owner {
  readonly #options: Http1Options
  readonly #streams: Record<Direction, Http1Stream>
  readonly #open: Open[] = []
  /** The one whose body is being sent. */
  #sending: Open | undefined
  /** The one whose response body is being sent. */
  #answered: Open | undefined
  #requests: Direction | undefined
  #weight = 1
  #http2Begins = false

  constructor(options: Http1Options) {
    this.#options = options
    const { fromStart } = options
    this.#streams = { sent: new Http1Stream(this, fromStart), received: new Http1Stream(this, fromStart) }
  }

  /** Whether a head was seen. */
  get certain(): boolean {
    return this.#requests !== undefined
  }

  /** @param weight how many exchanges one that begins now stands for */
  push(direction: Direction, text: string, first: boolean, atNs: number, weight = 1): void {
    this.#weight = weight
    this.#streams[direction].push(text, first, atNs)
  }

  /** See {@link Http1Stream.gap}. */
  gap(direction: Direction, bytes: number, lost: boolean, atNs: number): void {
    this.#streams[direction].gap(bytes, lost, atNs)
  }

  /** The connection ended: so do responses that have no end of their own. Requests without a response are told as such. */
  close(atNs: number): void {
    const [first] = this.#open
    if (first !== undefined && first.status === undefined) first.endNs = atNs
    for (const open of this.#open.splice(0)) this.#options.onExchange(open)
    for (const stream of Object.values(this.#streams)) stream.stop()
  }

  onHead(stream: Http1Stream, head: Head, cut: boolean, atNs: number): Framing {
    const isRequest = head.status === 0
    const direction = stream === this.#streams.sent ? 'sent' : 'received'
    const requests = isRequest ? direction : direction === 'sent' ? 'received' : 'sent'
    this.#requests ??= requests
    if (this.#requests !== requests) return { kind: 'unknown' } // both ends cannot ask
    if (head.version === '2') {
      this.#http2Begins = true
      return { kind: 'tunnel' }
    }
    return isRequest ? this.#onRequest(stream, head, cut) : this.#onResponse(stream, head, cut, atNs)
  }

  onBody(stream: Http1Stream, bytes: number, atNs: number): void {
    if (this.#isOfRequests(stream)) {
      if (this.#sending !== undefined) this.#sending.requestBytes += bytes
    } else if (this.#answered !== undefined) {
      this.#answered.responseBytes += bytes
      this.#answered.endNs = atNs
    }
  }

  onEnd(stream: Http1Stream, atNs: number): void {
    if (this.#isOfRequests(stream)) {
      this.#sending = undefined
      return
    }
    const answered = this.#answered
    if (answered === undefined) return // a 1xx, or a response whose request was not seen
    if (!stream.inBody) answered.endNs = atNs
    this.#finish(answered)
  }

  onLost(stream: Http1Stream): void {
    this.#sending = undefined
    if (this.#isOfRequests(stream)) return
    if (this.#answered !== undefined) this.#finish(this.#answered)
    // Which of the open requests the next response belongs to cannot be known.
    this.#open.length = 0
  }

  mayBegin(_stream: Http1Stream, isResponse: boolean): boolean {
    return isResponse
      ? this.#open.some(({ status }) => status === undefined)
      : this.#open.every(({ status }) => status !== undefined)
  }

  onTunnel(stream: Http1Stream, text: string, atNs: number): void {
    if (this.#http2Begins && this.#isOfRequests(stream))
      this.#options.onHttp2(this.#requests ?? 'received', text, atNs)
  }

  #onRequest(stream: Http1Stream, head: Head, cut: boolean): Framing {
    this.#finishUnframed()
    const { version, method, fields } = head
    const { startNs } = stream
    // Without spreading, which would take several times as long as the rest.
    const request: Open = {
      side: this.#requests === 'received' ? 'server' : 'client',
      version,
      method,
      route: pathTemplate(head.target),
      scheme: this.#options.scheme,
      authority: fields.host,
      status: undefined,
      grpc: undefined,
      traceparent: fields.traceparent,
      startNs,
      firstByteNs: startNs,
      endNs: startNs,
      requestBytes: 0,
      responseBytes: 0,
      weight: this.#weight,
    }
    this.#weight = 1
    if (this.#open.length < maxPipelined) this.#open.push(request)
    this.#sending = request
    if (cut) return { kind: 'unknown' }
    if (fields.chunked === true) return { kind: 'chunked' }
    if (fields.otherCoding === true || Number.isNaN(fields.contentLength)) return { kind: 'unknown' }
    return { kind: 'fixed', length: fields.contentLength ?? 0 }
  }

  #onResponse(stream: Http1Stream, { status, fields }: Head, cut: boolean, atNs: number): Framing {
    if (status < 200 && status !== 101) return { kind: 'none' }
    const request = this.#open.find((open) => open.status === undefined)
    this.#answered = request
    if (request !== undefined) {
      request.status = status
      request.firstByteNs = stream.startNs
      request.endNs = atNs
    }
    if (status === 101 || (request?.method === 'CONNECT' && status < 300)) {
      if (request !== undefined) this.#finish(request)
      for (const each of Object.values(this.#streams)) each.stop()
      return { kind: 'tunnel' }
    }
    if (request?.method === 'HEAD' || status === 204 || status === 304) return { kind: 'none' }
    if (cut) return { kind: 'unknown' }
    if (fields.chunked === true) return { kind: 'chunked' }
    if (fields.otherCoding === true || Number.isNaN(fields.contentLength)) return { kind: 'unknown' }
    if (fields.contentLength !== undefined) return { kind: 'fixed', length: fields.contentLength }
    // Whether it was a HEAD is not known without the request: the next response may follow at once.
    return { kind: request === undefined ? 'unknown' : 'close' }
  }

  /** A response whose end is not marked has ended when the next request comes. */
  #finishUnframed(): void {
    const responses = this.#requests === 'sent' ? this.#streams.received : this.#streams.sent
    if (!responses.inBody || this.#answered === undefined) return
    this.#finish(this.#answered)
    responses.finish()
  }

  #finish(open: Open): void {
    this.#answered = undefined
    // It is told of as it is now, whatever of its request still comes.
    if (this.#sending === open) this.#sending = undefined
    const at = this.#open.indexOf(open)
    if (at === 0) this.#open.shift()
    else if (at > 0) this.#open.splice(at, 1)
    this.#options.onExchange(open)
  }

  #isOfRequests(stream: Http1Stream): boolean {
    return this.#requests !== undefined && stream === this.#streams[this.#requests]
  }
}
