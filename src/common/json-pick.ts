const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const colon = 0x3a
const comma = 0x2c
const space = 0x20

/** What to keep of a value: all of it, or of an object, and of each object of a list, the members named here. */
export type JsonShape = 'all' | { readonly [member: string]: JsonShape }

interface Member {
  readonly name: Buffer
  readonly shape: Node
}

/** Undefined: keep all. */
type Node = readonly Member[] | undefined

/** The text ended before the value did. */
export class JsonCutShort extends SyntaxError {
  constructor() {
    super('The JSON text ends too early')
  }
}

/** One for all: a new one costs more than the rest of a parse that ends so. */
const cutShort = new JsonCutShort()

/**
 * Parses a JSON text, but only the members of a shape: of a pod's 5 kB a fifth is used, and what is never made into
 * strings and objects need not be collected either. The rest is skipped over without being checked. A member whose name is
 * written with escapes counts as another one; servers written in Go write none so.
 */
export class JsonPicker {
  readonly #root: Node
  #json: Buffer = Buffer.alloc(0)
  #at = 0
  #kept = Buffer.alloc(16_384)
  #length = 0

  constructor(shape: JsonShape) {
    this.#root = compile(shape)
  }

  /** The index after the value that was parsed last. */
  get end(): number {
    return this.#at
  }

  /**
   * Parses the value that begins at `start`; what follows it does not matter.
   *
   * @throws JsonCutShort when the text ends before the value does
   * @throws SyntaxError for what is no JSON, as far as it is looked at
   */
  parse(json: Buffer, start = 0): unknown {
    this.#json = json
    this.#at = start
    this.#length = 0
    // What is kept is never longer than what it was picked from.
    if (this.#kept.length < json.length - start) this.#kept = Buffer.alloc(2 * json.length)
    this.#pick(this.#root)
    return JSON.parse(this.#kept.toString('utf8', 0, this.#length)) as unknown
  }

  #pick(node: Node): void {
    const first = this.#next()
    if (node !== undefined && first === openBrace) this.#pickObject(node)
    else if (node !== undefined && first === openBracket) this.#pickList(node)
    else {
      const start = this.#at
      this.#skip()
      this.#keep(start, this.#at)
    }
  }

  #pickObject(members: readonly Member[]): void {
    const opening = this.#at
    this.#at += 1
    this.#keep(opening, this.#at)
    let kept = 0
    while (this.#next() !== closeBrace) {
      const start = this.#at
      this.#skipString()
      const member = this.#memberAt(members, start + 1, this.#at - 1)
      this.#expect(colon)
      if (member === undefined) {
        this.#next()
        this.#skip()
      } else {
        if (kept > 0) this.#put(comma)
        kept += 1
        this.#keep(start, this.#at)
        this.#pick(member.shape)
      }
      if (this.#next() === comma) this.#at += 1
      else if (this.#next() !== closeBrace) this.#refuse()
    }
    this.#at += 1
    this.#put(closeBrace)
  }

  #pickList(members: readonly Member[]): void {
    this.#at += 1
    this.#put(openBracket)
    while (this.#next() !== closeBracket) {
      this.#pick(members)
      if (this.#next() === comma) {
        this.#at += 1
        this.#put(comma)
      } else if (this.#next() !== closeBracket) this.#refuse()
    }
    this.#at += 1
    this.#put(closeBracket)
  }

  /** The first byte that is no white space; {@link #at} is there. */
  #next(): number {
    const json = this.#json
    let at = this.#at
    while (at < json.length && (json[at] ?? 0) <= space) at += 1
    this.#at = at
    const byte = json[at]
    if (byte === undefined) throw cutShort
    return byte
  }

  #expect(wanted: number): void {
    if (this.#next() !== wanted) this.#refuse()
    this.#at += 1
  }

  #refuse(): never {
    throw new SyntaxError(`The JSON text has something unexpected at ${this.#at}`)
  }

  /** Goes to the end of the value that begins here. Most bytes of an answer pass here. */
  #skip(): void {
    const json = this.#json
    const { length } = json
    let at = this.#at
    let depth = 0
    for (;;) {
      const byte = json[at] ?? 0
      if (byte === quote) {
        at += 1
        let inner = json[at]
        while (inner !== quote && at < length) {
          at += inner === backslash ? 2 : 1
          inner = json[at]
        }
        if (at >= length) throw cutShort
        if (depth === 0) break
      } else if (byte === openBrace || byte === openBracket) depth += 1
      else if (byte === closeBrace || byte === closeBracket) {
        if (depth === 0) at -= 1
        if (depth <= 1) break
        depth -= 1
      } else if (depth === 0 && (byte === comma || at >= length)) {
        // A number, true, false or null ended, maybe with the text.
        at -= 1
        break
      } else if (at >= length) throw cutShort
      at += 1
    }
    this.#at = at + 1
  }

  /** Goes past the string that begins here. */
  #skipString(): void {
    const json = this.#json
    if (json[this.#at] !== quote) this.#refuse()
    let at = this.#at + 1
    for (let byte = json[at]; byte !== quote; byte = json[at]) {
      if (byte === undefined) throw cutShort
      at += byte === backslash ? 2 : 1
    }
    this.#at = at + 1
  }

  #memberAt(members: readonly Member[], from: number, to: number): Member | undefined {
    const json = this.#json
    for (const member of members) {
      const { name } = member
      if (name.length !== to - from) continue
      let same = 0
      while (same < name.length && name[same] === json[from + same]) same += 1
      if (same === name.length) return member
    }
    return undefined
  }

  #keep(from: number, to: number): void {
    this.#json.copy(this.#kept, this.#length, from, to)
    this.#length += to - from
  }

  #put(byte: number): void {
    this.#kept[this.#length] = byte
    this.#length += 1
  }
}

function compile(shape: JsonShape): Node {
  if (shape === 'all') return undefined
  return Object.entries(shape).map(([name, inner]) => ({ name: Buffer.from(name), shape: compile(inner) }))
}
