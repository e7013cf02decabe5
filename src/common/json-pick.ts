const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const colon = 0x3a
const comma = 0x2c
const space = 0x20
/** By this bit alone braces differ from brackets. */
const caseBit = 0x20
/** To copy no more than these takes less than to leave JavaScript. */
const fewBytes = 24

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
  /** The part of the text that is to be kept and not copied yet. */
  #pendingFrom = 0
  #pendingTo = 0

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
    this.#pendingFrom = start
    this.#pendingTo = start
    // What is kept is never longer than what it was picked from.
    if (this.#kept.length < json.length - start) this.#kept = Buffer.alloc(2 * json.length)
    this.#pick(this.#root)
    this.#copyPending()
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
    this.#keep(this.#at, this.#at + 1)
    this.#at += 1
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
        if (kept > 0) this.#keepComma(start)
        kept += 1
        this.#keep(start, this.#at)
        this.#pick(member.shape)
      }
      const byte = this.#next()
      if (byte === comma) this.#at += 1
      else if (byte !== closeBrace) this.#refuse()
    }
    this.#keep(this.#at, this.#at + 1)
    this.#at += 1
  }

  #pickList(members: readonly Member[]): void {
    this.#keep(this.#at, this.#at + 1)
    this.#at += 1
    while (this.#next() !== closeBracket) {
      this.#pick(members)
      const byte = this.#next()
      if (byte === comma) {
        this.#keep(this.#at, this.#at + 1)
        this.#at += 1
      } else if (byte !== closeBracket) this.#refuse()
    }
    this.#keep(this.#at, this.#at + 1)
    this.#at += 1
  }

  // Below, bytes are read only where there are some: one look beyond the end makes every later one slower.

  /** The first byte that is no white space; {@link #at} is there. */
  #next(): number {
    const json = this.#json
    for (let at = this.#at; at < json.length; at += 1) {
      const byte = json[at] as number
      if (byte <= space) continue
      this.#at = at
      return byte
    }
    throw cutShort
  }

  #expect(wanted: number): void {
    if (this.#next() !== wanted) this.#refuse()
    this.#at += 1
  }

  #refuse(): never {
    throw new SyntaxError(`The JSON text has something unexpected at ${this.#at}`)
  }

  /** Goes to the end of the value that begins here. */
  #skip(): void {
    const first = this.#json[this.#at] as number
    if (first === quote) this.#skipString()
    else if ((first | caseBit) === openBrace) this.#skipContainer()
    else this.#skipWord()
  }

  /** Goes past the object or list that begins here. Most bytes of an answer pass here. */
  #skipContainer(): void {
    const json = this.#json
    const { length } = json
    let depth = 0
    for (let at = this.#at; at < length; at += 1) {
      const byte = json[at] as number
      if (byte === quote) {
        at += 1
        while (at < length) {
          const inner = json[at] as number
          if (inner === quote) break
          at += inner === backslash ? 2 : 1
        }
      } else if ((byte | caseBit) === openBrace) depth += 1
      else if ((byte | caseBit) === closeBrace) {
        depth -= 1
        if (depth > 0) continue
        this.#at = at + 1
        return
      }
    }
    throw cutShort
  }

  /** Goes past a number, true, false or null, which may end with the text. */
  #skipWord(): void {
    const json = this.#json
    const start = this.#at
    let at = start
    while (at < json.length) {
      const byte = json[at] as number
      if (byte === comma || byte <= space || (byte | caseBit) === closeBrace) break
      at += 1
    }
    if (at === start) this.#refuse()
    this.#at = at
  }

  /** Goes past the string that begins here. */
  #skipString(): void {
    const json = this.#json
    const { length } = json
    let at = this.#at
    if (json[at] !== quote) this.#refuse()
    at += 1
    while (at < length) {
      const byte = json[at] as number
      if (byte === quote) {
        this.#at = at + 1
        return
      }
      at += byte === backslash ? 2 : 1
    }
    throw cutShort
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

  /** Keeps a part of the text. What adjoins what was kept before is copied together with it. */
  #keep(from: number, to: number): void {
    if (from !== this.#pendingTo) {
      this.#copyPending()
      this.#pendingFrom = from
    }
    this.#pendingTo = to
  }

  /** Keeps a comma in front of what begins at `start`, where one stands in the text if possible. */
  #keepComma(start: number): void {
    if (this.#json[start - 1] === comma) {
      this.#keep(start - 1, start)
      return
    }
    this.#copyPending()
    this.#pendingFrom = this.#pendingTo
    this.#kept[this.#length] = comma
    this.#length += 1
  }

  #copyPending(): void {
    const from = this.#pendingFrom
    const to = this.#pendingTo
    const json = this.#json
    const kept = this.#kept
    let length = this.#length
    if (to - from > fewBytes) {
      json.copy(kept, length, from, to)
      length += to - from
    } else {
      for (let at = from; at < to; at += 1) {
        kept[length] = json[at] as number
        length += 1
      }
    }
    this.#length = length
  }
}

function compile(shape: JsonShape): Node {
  if (shape === 'all') return undefined
  return Object.entries(shape).map(([name, inner]) => ({ name: Buffer.from(name), shape: compile(inner) }))
}
