const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/**
 * Cuts objects out of a JSON text while it arrives, so that an answer of many megabytes never exists as one string or
 * one tree. Works on bytes: the bytes of UTF-8's multi-byte characters are never those of JSON's own marks.
 *
 * What is cut are the objects directly in one container: the root, or the root's member `inside`. Everything else is
 * kept as {@link skeleton}.
 */
export class JsonObjectCutter {
  readonly #inside: string | undefined
  readonly #each: (json: string) => void
  /** How deep the objects begin: 1 in the root, 2 in its member. */
  readonly #wantedDepth: number
  #depth = 0
  #inString = false
  /** The newest byte was a backslash that escapes the next one. */
  #escaped = false
  /** The newest string directly in the root: a member's name, when a container begins after it. */
  #name: Buffer[] = []
  #isInside: boolean
  /** The part of an object that earlier chunks held; undefined outside of one. */
  #object: Buffer[] | undefined
  #skeleton: Buffer[] = []
  #begun = false

  /**
   * @param inside the name of the root's member that holds the objects; undefined: the root does
   * @param each gets each object as JSON, in order
   */
  constructor(inside: string | undefined, each: (json: string) => void) {
    this.#inside = inside
    this.#each = each
    this.#wantedDepth = inside === undefined ? 1 : 2
    this.#isInside = inside === undefined
  }

  /** Whether the text is whole: its root was opened and closed. */
  get complete(): boolean {
    return this.#begun && this.#depth === 0 && !this.#inString
  }

  /** The text with `0` for each object that was cut out: JSON again once it is whole. */
  get skeleton(): string {
    return Buffer.concat(this.#skeleton).toString()
  }

  /** Takes the next bytes; calls `each` for the objects that they complete. */
  push(chunk: Buffer): void {
    /** Where that begins which belongs to no finished object and is not kept yet. */
    let from = 0
    let index = 0
    while (index < chunk.length) {
      if (this.#inString) {
        index = this.#skipString(chunk, index)
        continue
      }
      const byte = chunk[index]
      if (byte === quote) {
        this.#inString = true
        if (this.#depth === 1) this.#name = []
      } else if (byte === openBrace || byte === openBracket) {
        if (this.#opens(byte)) {
          this.#keep(chunk, from, index)
          this.#object = []
          from = index
        }
      } else if (byte === closeBrace || byte === closeBracket) {
        this.#depth -= 1
        if (this.#object !== undefined && this.#depth === this.#wantedDepth) {
          this.#finish(this.#object, chunk.subarray(from, index + 1))
          from = index + 1
        }
      }
      index += 1
    }
    if (this.#object === undefined) this.#keep(chunk, from, chunk.length)
    else this.#object.push(chunk.subarray(from))
  }

  /** Enters a container; tells whether it is an object to cut. */
  #opens(byte: number): boolean {
    this.#begun = true
    if (this.#depth === 1 && this.#inside !== undefined)
      this.#isInside = Buffer.concat(this.#name).toString() === this.#inside
    const wanted = byte === openBrace && this.#isInside && this.#depth === this.#wantedDepth
    this.#depth += 1
    return wanted
  }

  /** Goes to the end of the string, or of the chunk; gives the index after it. */
  #skipString(chunk: Buffer, start: number): number {
    let index = start
    if (this.#escaped) {
      this.#escaped = false
      index += 1
    }
    for (;;) {
      const end = chunk.indexOf(quote, index)
      const stop = end === -1 ? chunk.length : end
      let first = stop
      while (first > index && chunk[first - 1] === backslash) first -= 1
      const escapes = (stop - first) % 2 === 1
      if (end !== -1 && escapes) {
        index = end + 1
        continue
      }
      if (this.#depth === 1) this.#name.push(Buffer.from(chunk.subarray(start, stop)))
      this.#escaped = escapes
      this.#inString = end === -1
      return end === -1 ? stop : end + 1
    }
  }

  #finish(earlier: readonly Buffer[], last: Buffer): void {
    this.#object = undefined
    this.#skeleton.push(zero)
    this.#each((earlier.length === 0 ? last : Buffer.concat([...earlier, last])).toString())
  }

  /** A copy: a view would keep the whole chunk alive. */
  #keep(chunk: Buffer, from: number, to: number): void {
    if (to > from) this.#skeleton.push(Buffer.from(chunk.subarray(from, to)))
  }
}

const zero = Buffer.from('0')
