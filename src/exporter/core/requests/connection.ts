/** One watched connection: finds out what it speaks, and hands on its bytes, in order, with what is missing between them. */
import type { OnExchange } from './exchange.ts'
import { latin1 } from './hpack.ts'
import { Http1Connection, type Direction } from './http1-connection.ts'
import { Http2Connection } from './http2-connection.ts'

/** What moved by one system call. */
export interface Movement {
  readonly direction: Direction
  /** Of its first bytes, how many were captured. */
  readonly captured: number
  /** These, and the same as text, an octet a character. Only valid during the call. */
  readonly data: Uint8Array
  readonly text: string
  /** Bytes that moved. */
  readonly length: number
  /** Bytes that had moved this way before, since the connection is watched. */
  readonly offset: number
  /** Its bytes could not be looked at: a message may begin in them. */
  readonly unreadable: boolean
  /** It goes on with the bytes of the system call that the last one was of. */
  readonly continued: boolean
  /** What is missing before it are whole exchanges that were left out on purpose. */
  readonly aligned: boolean
  /** Exchanges of this connection that were not recorded right before this. */
  readonly skipped: number
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly atNs: number
}

/** Bytes after which a connection that speaks neither is given up. */
const undecidedBytes = 262_144
/** The rest of an HTTP/2 preface behind the empty line that ends its first part: RFC 9113 section 3.4. */
const prefaceEnd = 'SM\r\n\r\n'

export class Connection {
  readonly #scheme: 'http' | 'https'
  readonly #onExchange: OnExchange
  readonly #seen: Record<Direction, number> = { sent: 0, received: 0 }
  #http1: Http1Connection | undefined
  #http2: Http2Connection | undefined
  #undecided = 0
  /** Of the preface that is still to come. */
  #preface = ''
  #requests: Direction = 'received'

  /** @param fromStart it is watched from its first byte on */
  constructor(scheme: 'http' | 'https', fromStart: boolean, onExchange: OnExchange) {
    this.#scheme = scheme
    this.#onExchange = onExchange
    this.#http1 = new Http1Connection({
      ...{ scheme, fromStart, onExchange },
      onHttp2: (requests, text, atNs) => {
        this.#becomeHttp2(requests, text, atNs)
      },
    })
    this.#http2 = new Http2Connection({ scheme, onExchange, requests: undefined })
  }

  /** Whether it is no more looked at: what it speaks is neither HTTP/1 nor HTTP/2. */
  get ignored(): boolean {
    return this.#http1 === undefined && this.#http2 === undefined
  }

  /** `1`, `2`, or undefined while it is not known. */
  get protocol(): '1' | '2' | undefined {
    if (this.#http1?.certain === true) return '1'
    return this.#http2?.certain === true ? '2' : undefined
  }

  move(movement: Movement): void {
    const { direction, captured, length, offset, atNs, unreadable } = movement
    const missing = offset - this.#seen[direction]
    this.#seen[direction] = offset + length
    if (missing > 0 && !movement.aligned) this.#gap(direction, missing, true, atNs)
    if (captured > 0) this.#push(movement)
    if (length > captured) this.#gap(direction, length - captured, unreadable, atNs)
    if (this.#http1 !== undefined && this.#http2 !== undefined) this.#decide(length)
  }

  /** The connection has ended. */
  close(atNs: number): void {
    if (this.#http1?.certain === true) this.#http1.close(atNs)
    if (this.#http2?.certain === true) this.#http2.close(atNs)
    this.#http1 = this.#http2 = undefined
  }

  #push(movement: Movement): void {
    const http1 = this.#http1
    if (this.#http2 !== undefined) this.#pushHttp2(movement)
    if (http1 === undefined) return
    const { direction, text, skipped, atNs, continued } = movement
    http1.push(direction, text, !continued, atNs, skipped + 1)
  }

  #pushHttp2({ direction, data, atNs, continued }: Movement): void {
    let rest = data
    if (this.#preface !== '' && direction === this.#requests) rest = this.#afterPreface(data)
    if (rest.length > 0) this.#http2?.push(direction, rest, rest === data && !continued, atNs)
  }

  #gap(direction: Direction, bytes: number, lost: boolean, atNs: number): void {
    if (direction === this.#requests) this.#preface = ''
    this.#http1?.gap(direction, bytes, lost, atNs)
    this.#http2?.gap(direction, bytes, atNs)
  }

  #decide(length: number): void {
    if (this.#http1?.certain === true) this.#http2 = undefined
    else if (this.#http2?.certain === true) this.#http1 = undefined
    else {
      this.#undecided += length
      if (this.#undecided > undecidedBytes) this.#http1 = this.#http2 = undefined
    }
  }

  #becomeHttp2(requests: Direction, text: string, atNs: number): void {
    this.#requests = requests
    this.#preface = prefaceEnd
    this.#http1 = undefined
    this.#http2 = new Http2Connection({ scheme: this.#scheme, onExchange: this.#onExchange, requests })
    const rest = this.#afterPreface(Buffer.from(text, 'latin1'))
    if (rest.length > 0) this.#http2.push(requests, rest, false, atNs)
  }

  /** Takes off what belongs to the preface; a wrong one ends the watching. */
  #afterPreface(data: Uint8Array): Uint8Array {
    const length = Math.min(this.#preface.length, data.length)
    if (latin1(data, 0, length) !== this.#preface.slice(0, length)) {
      this.#http2 = undefined
      return data.subarray(data.length)
    }
    this.#preface = this.#preface.slice(length)
    return data.subarray(length)
  }
}
