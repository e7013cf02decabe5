/**
 * A connection to a kubelet on which the body of an answer goes past Node's HTTP parser. A kubelet writes its page in
 * chunks of 2 kB: through the parser each of them costs a dozen calls, and the page of a full node three times what nginx
 * needs. Node's parser sees each answer's head and, when the body is over, its end; it keeps the connection as ever.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { ParsedBody, type Body, type BodySink } from './body.ts'
import { ChunkedDecoder } from './core/chunked.ts'

/** What a socket is made with to put what it reads into one buffer and call back (net.connect's `onread`). */
export interface OnRead {
  readonly buffer: Uint8Array
  readonly callback: (bytesRead: number, buffer: Uint8Array) => boolean
}

/** What becomes of the bytes that come. */
type Mode = 'head' | 'parser' | 'body' | 'idle'

/** More of an answer's head than Node's parser would take. */
const maxHeadBytes = 32_768
const endOfHead = '\r\n\r\n'
const endOfChunks = Buffer.from('0\r\n\r\n')

/** All connections read into it: what one reads is done with before another reads. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

const connections = new WeakMap<Socket, KubeletConnection>()

export class KubeletConnection {
  readonly onRead: OnRead
  #socket: Socket | undefined
  #mode: Mode = 'parser'
  /** The beginning of a head that has not come whole. */
  #head: Buffer | undefined
  /** Whether the parser reads the head that is whole now: only during that can the body be taken. */
  #atHead = false
  #body: ChunkedBody | undefined

  constructor() {
    this.onRead = {
      buffer: readBuffer,
      callback: (bytesRead) => this.#read(readBuffer.subarray(0, bytesRead)),
    }
  }

  /** Belongs to `socket` from now on, which was made with {@link onRead}. */
  attach(socket: Socket): void {
    this.#socket = socket
    connections.set(socket, this)
  }

  /** Prepares the connection under `socket`, if it is one of these, for the answer to the next request. */
  static expectAnswer(socket: Socket | null): void {
    const connection = socket === null ? undefined : connections.get(socket)
    if (connection === undefined) return
    connection.#mode = 'head'
    connection.#head = undefined
  }

  /**
   * The body of an answer whose head has just come. To be called when Node tells of the answer, before returning to it;
   * later, or where the body does not come in chunks, it goes through Node's parser.
   */
  static bodyOf(answer: IncomingMessage): Body {
    const connection = connections.get(answer.socket)
    const isWanted = answer.statusCode === 200 && answer.headers['transfer-encoding'] === 'chunked'
    if (connection === undefined || !connection.#atHead || !isWanted) return new ParsedBody(answer)
    connection.#mode = 'body'
    connection.#body = new ChunkedBody(answer, (rest) => {
      connection.#ended(rest)
    })
    return connection.#body
  }

  /** @returns whether to go on reading */
  #read(bytes: Buffer): boolean {
    if (this.#socket?.destroyed !== false) return false
    switch (this.#mode) {
      case 'head':
        return this.#readHead(bytes)
      case 'body':
        return this.#body?.read(bytes) ?? true
      case 'parser':
        return this.#parse(bytes)
      default:
        // Nothing was asked for: whatever this is, it must not become the answer to the next request.
        this.#socket.destroy()
        return false
    }
  }

  #readHead(bytes: Buffer): boolean {
    const all = this.#head === undefined ? bytes : Buffer.concat([this.#head, bytes])
    const end = all.indexOf(endOfHead)
    if (end < 0 && all.length < maxHeadBytes) {
      this.#head = Buffer.from(all)
      return true
    }
    this.#head = undefined
    this.#mode = 'parser'
    if (end < 0) return this.#parse(all)
    const body = end + endOfHead.length
    this.#atHead = true
    this.#parse(all.subarray(0, body))
    this.#atHead = false
    return body === all.length || this.#read(all.subarray(body))
  }

  #parse(bytes: Buffer): boolean {
    return this.#socket?.destroyed === false && this.#socket.push(Buffer.from(bytes))
  }

  /** The body is over: lets the parser come to its end too. */
  #ended(rest: boolean): void {
    this.#body = undefined
    this.#mode = 'idle'
    this.#parse(endOfChunks)
    if (rest) this.#socket?.destroy()
  }
}

/** The body of an answer in chunks, taken from the connection. */
class ChunkedBody implements Body {
  readonly #answer: IncomingMessage
  readonly #onEnd: (rest: boolean) => void
  readonly #decoder = new ChunkedDecoder()
  #sink: BodySink | undefined
  /** What came before the start. */
  #early: Buffer[] = []
  #paused = false

  /** @param onEnd is told when the body is whole, and whether more came behind it */
  constructor(answer: IncomingMessage, onEnd: (rest: boolean) => void) {
    this.#answer = answer
    this.#onEnd = onEnd
    // The parser will find no body.
    answer.resume()
    answer.on('error', () => undefined)
  }

  start(sink: BodySink): void {
    this.#sink = sink
    this.#answer.on('close', () => {
      this.#lose()
    })
    if (this.#answer.destroyed) {
      this.#lose()
      return
    }
    const early = this.#early
    this.#early = []
    for (const bytes of early) this.read(bytes)
    if (early.length > 0) this.resume()
  }

  /** @returns whether to go on reading */
  read(bytes: Buffer): boolean {
    const sink = this.#sink
    if (sink === undefined) {
      this.#early.push(Buffer.from(bytes))
      return false
    }
    try {
      const read = this.#decoder.decode(bytes, sink.data)
      if (this.#decoder.ended) {
        // The connection goes on to be read, to see its end.
        this.#paused = false
        this.#onEnd(read < bytes.length)
        sink.end()
      }
    } catch {
      this.destroy()
    }
    return !this.#paused
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#answer.socket.resume()
  }

  destroy(): void {
    this.#answer.destroy()
  }

  #lose(): void {
    if (!this.#decoder.ended) this.#sink?.lost()
  }
}
