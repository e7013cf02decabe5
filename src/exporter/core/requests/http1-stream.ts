/**
 * One direction of an HTTP/1 connection, from the bytes that were captured and the numbers of those that were not. It never
 * guesses where a message begins: only in sequence, or, once that is lost, where a send or receive begins with a whole valid
 * start line.
 */
import {
  maxHead,
  mayBecomeHead,
  parseFields,
  parseStartLine,
  type Head,
  type HeadFields,
} from './http1-head.ts'
import { knownMethods } from './method.ts'

/** How the body of a message ends; `unknown`: where the next message begins. */
export type Framing =
  | { readonly kind: 'none' | 'chunked' | 'close' | 'unknown' | 'tunnel' }
  | { readonly kind: 'fixed'; readonly length: number }

/** The connection that a direction belongs to. */
export interface Http1Owner {
  /** A head was read. `cut`: not to its end. */
  onHead(stream: Http1Stream, head: Head, cut: boolean, atNs: number): Framing
  onBody(stream: Http1Stream, bytes: number, atNs: number): void
  onEnd(stream: Http1Stream, atNs: number): void
  /** Bytes were missed, and with them the place in the sequence of messages. */
  onLost(stream: Http1Stream): void
  /** Whether a message may begin now, when the end of the last one was not seen. */
  mayBegin(stream: Http1Stream, isResponse: boolean): boolean
  /** What follows is not HTTP/1. */
  onTunnel(stream: Http1Stream, text: string, atNs: number): void
}

type State =
  /** Not in sequence: a message is looked for where a send or receive begins. */
  | 'seek'
  /** A message begins here. */
  | 'begin'
  | 'head'
  | 'fixed'
  | 'chunk-size'
  | 'chunk-data'
  | 'trailer'
  | 'close'
  | 'unknown'
  | 'tunnel'

/** Longest line of a chunk size with its extensions, and longest trailer line. */
const maxLine = 4_096

export class Http1Stream {
  readonly #owner: Http1Owner
  #state: State = 'seek'
  /** Of the head or line that has not ended yet. */
  #text = ''
  #remaining = 0
  #startNs = 0
  /** What is found is in sequence with what was found before, or with the connection's beginning. */
  #inSequence: boolean

  /** @param fromStart the first byte is the connection's first */
  constructor(owner: Http1Owner, fromStart: boolean) {
    this.#owner = owner
    this.#inSequence = fromStart
  }

  /** Whether a message has begun and its end was not seen. */
  get inBody(): boolean {
    return this.#state === 'unknown' || this.#state === 'close'
  }

  /** When the first byte of the last head was moved. */
  get startNs(): number {
    return this.#startNs
  }

  /**
   * Bytes that follow those before.
   *
   * @param first they are the first of a send or receive
   */
  push(text: string, first: boolean, atNs: number): void {
    let at = 0
    while (at < text.length) at = this.#step(text, at, first && at === 0, atNs)
  }

  /**
   * Bytes that moved and were not captured.
   *
   * @param lost of records that are missing, and so maybe of several messages; else the rest of one send or receive
   */
  gap(bytes: number, lost: boolean, atNs: number): void {
    switch (this.#state) {
      case 'tunnel':
        break
      case 'fixed':
        if (bytes > this.#remaining) this.#lose()
        else this.#skip(bytes, atNs)
        break
      case 'chunk-data':
        if (bytes <= this.#remaining) this.#skip(bytes, atNs)
        else if (lost) this.#lose()
        else this.#endUnknown(bytes, atNs)
        break
      case 'close':
      case 'unknown':
      case 'chunk-size':
      case 'trailer':
        if (lost) this.#lose()
        else this.#endUnknown(bytes, atNs)
        break
      case 'head':
        if (lost) this.#lose()
        else this.#cutHead(atNs)
        break
      case 'seek':
      case 'begin':
        this.#lose()
        break
    }
  }

  /** The next bytes begin a message of another protocol, or nothing more is to be read. */
  stop(): void {
    this.#state = 'tunnel'
    this.#text = ''
  }

  /** Where the message that has no end of its own ends: the next one is looked for. */
  finish(): void {
    if (this.inBody) this.#state = 'seek'
  }

  /** Reads from `at` on; gives where it goes on. */
  #step(text: string, at: number, first: boolean, atNs: number): number {
    switch (this.#state) {
      case 'seek':
      case 'begin':
        return this.#begin(text, at, first, atNs)
      case 'unknown':
      case 'close':
        return this.#unframed(text, at, first, atNs)
      case 'head':
        return this.#head(text, at, atNs)
      case 'fixed':
      case 'chunk-data': {
        const bytes = Math.min(this.#remaining, text.length - at)
        this.#skip(bytes, atNs)
        return at + bytes
      }
      case 'chunk-size':
      case 'trailer':
        return this.#line(text, at, atNs)
      case 'tunnel':
        this.#owner.onTunnel(this, at === 0 ? text : text.slice(at), atNs)
        return text.length
    }
  }

  #begin(text: string, at: number, first: boolean, atNs: number): number {
    let from = at
    // Empty lines before a request line are allowed: RFC 9112 section 2.2.
    while (this.#state === 'begin' && isLineBreak(text.charCodeAt(from))) from += 1
    if (from === text.length) return from
    if ((this.#state === 'begin' || first) && beginsHead(text, from)) {
      this.#state = 'head'
      this.#text = ''
      this.#startNs = atNs
      return from
    }
    if (this.#state === 'begin') {
      this.#lose()
      return first ? at : text.length // what was the beginning of a send may still be one
    }
    return text.length
  }

  /** In a body without an end of its own: only a whole start line at the beginning of a send or receive ends it. */
  #unframed(text: string, at: number, first: boolean, atNs: number): number {
    const end = first ? text.indexOf('\n') : -1
    const line = end < 0 ? undefined : parseStartLine(withoutReturn(text.slice(0, end)))
    if (line !== undefined && this.#state === 'unknown' && this.#owner.mayBegin(this, line.status > 0)) {
      this.#owner.onEnd(this, atNs)
      this.#state = 'seek'
      return at
    }
    // A send so short, or captured so short, that it may be the beginning of the next message.
    if (first && end < 0 && this.#state === 'unknown' && mayBecomeHead(text)) this.#lose()
    else this.#owner.onBody(this, text.length - at, atNs)
    return text.length
  }

  #head(text: string, at: number, atNs: number): number {
    const before = this.#text.length
    const whole = before === 0 && at === 0 ? text : this.#text + text.slice(at)
    const end = endOfHead(whole, Math.max(0, before - 3))
    if (end !== undefined && end.after <= maxHead) {
      const lineEnd = whole.indexOf('\n')
      const line = parseStartLine(withoutReturn(whole.slice(0, lineEnd)))
      this.#text = ''
      const head = line && withFields(line, parseFields(whole, lineEnd + 1, end.before))
      const isDoubtful =
        !this.#inSequence &&
        head !== undefined &&
        !isCertain(head, head.fields, whole.slice(lineEnd + 1, end.before))
      if (head === undefined || isDoubtful) {
        this.#lose()
        return text.length
      }
      this.#inSequence = true
      this.#frame(this.#owner.onHead(this, head, false, atNs), atNs)
      return at + (end.after - before)
    }
    this.#text = whole
    const lineEnd = whole.indexOf('\n')
    const valid =
      lineEnd < 0
        ? mayBecomeHead(whole)
        : parseStartLine(withoutReturn(whole.slice(0, lineEnd))) !== undefined
    if (!valid) {
      this.#text = ''
      this.#lose()
    } else if (whole.length > maxHead) {
      this.#cutHead(atNs)
    }
    return text.length
  }

  /** The rest of a head is not seen: how its body ends is not known then. */
  #cutHead(atNs: number): void {
    const lineEnd = this.#text.indexOf('\n')
    const line = lineEnd < 0 ? undefined : parseStartLine(withoutReturn(this.#text.slice(0, lineEnd)))
    // Whole lines only: the last one may be cut.
    const text = lineEnd < 0 ? '' : this.#text.slice(lineEnd + 1, this.#text.lastIndexOf('\n') + 1)
    const fields = parseFields(text)
    this.#text = ''
    const doubtful =
      !this.#inSequence && line !== undefined && (text === '' || !isCertain(line, fields, text))
    if (line === undefined || doubtful) {
      this.#lose()
      return
    }
    this.#frame(this.#owner.onHead(this, withFields(line, fields), true, atNs), atNs)
  }

  #frame(framing: Framing, atNs: number): void {
    switch (framing.kind) {
      case 'fixed':
        this.#remaining = framing.length
        this.#state = 'fixed'
        if (framing.length === 0) this.#end(atNs)
        break
      case 'none':
        this.#end(atNs)
        break
      case 'chunked':
        this.#state = 'chunk-size'
        break
      case 'close':
      case 'unknown':
      case 'tunnel':
        this.#state = framing.kind
        break
    }
  }

  /** Section 7.1: a chunk's size, or a trailer field. The line break behind a chunk's data counts as data. */
  #line(text: string, at: number, atNs: number): number {
    const end = text.indexOf('\n', at)
    this.#text += text.slice(at, end < 0 ? text.length : end)
    if (this.#text.length > maxLine) {
      this.#endUnknown(text.length - at, atNs)
      return text.length
    }
    if (end < 0) return text.length
    const line = withoutReturn(this.#text)
    this.#text = ''
    if (this.#state === 'trailer') {
      if (line === '') this.#end(atNs)
      return end + 1
    }
    const size = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1]
    if (size === undefined) {
      this.#endUnknown(text.length - at, atNs)
      return text.length
    }
    const bytes = Number.parseInt(size, 16)
    this.#state = bytes === 0 ? 'trailer' : 'chunk-data'
    this.#remaining = bytes + 2
    return end + 1
  }

  #skip(bytes: number, atNs: number): void {
    this.#remaining -= bytes
    this.#owner.onBody(this, bytes, atNs)
    if (this.#remaining > 0) return
    if (this.#state === 'fixed') this.#end(atNs)
    else this.#state = 'chunk-size'
  }

  #end(atNs: number): void {
    this.#state = 'begin'
    this.#owner.onEnd(this, atNs)
  }

  #endUnknown(bytes: number, atNs: number): void {
    this.#text = ''
    if (this.#state !== 'close') this.#state = 'unknown'
    this.#owner.onBody(this, bytes, atNs)
  }

  #lose(): void {
    this.#inSequence = false
    this.#state = 'seek'
    this.#text = ''
    this.#owner.onLost(this)
  }
}

/**
 * Whether this is a head and not a body that looks like one, or the end of one: whole field lines, and of a request a known
 * method and the Host that HTTP/1.1 asks for.
 */
function isCertain(
  { version, method, status }: Omit<Head, 'fields'>,
  { host }: HeadFields,
  text: string,
): boolean {
  if (!/^(?:[\w!#$%&'*+.^`|~-]+:[^\n]*\n)*$/.test(text)) return false
  // The preface of HTTP/2 has more behind it by which it is known.
  return (
    status > 0 || version === '2' || (knownMethods.has(method) && (version === '1.0' || host !== undefined))
  )
}

/** Without spreading, which takes longer. */
function withFields({ version, method, target, status }: Omit<Head, 'fields'>, fields: HeadFields): Head {
  return { version, method, target, status, fields }
}

function isLineBreak(code: number): boolean {
  return code === 0x0d || code === 0x0a
}

/** Whether a message can begin here: its first characters are those of a method or of HTTP/. */
function beginsHead(text: string, at: number): boolean {
  for (let index = at; index < Math.min(at + 3, text.length); index += 1) {
    const code = text.charCodeAt(index)
    if (code < 0x41 || code > 0x5a) return false
  }
  return true
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}

/** The empty line that ends a head: where the fields end, and where the body begins. */
function endOfHead(text: string, from: number): { before: number; after: number } | undefined {
  for (let at = text.indexOf('\n', from); at >= 0; at = text.indexOf('\n', at + 1)) {
    const next = text.charCodeAt(at + 1)
    if (next === 0x0a) return { before: at + 1, after: at + 2 }
    if (next === 0x0d && text.charCodeAt(at + 2) === 0x0a) return { before: at + 1, after: at + 3 }
  }
  return undefined
}
