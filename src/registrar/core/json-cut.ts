/**
 * Cuts the objects out of a JSON answer while it arrives, so that an answer of 70 MB never exists as one string or one tree.
 * Works on bytes: UTF-8's multi-byte characters never contain the bytes of JSON's own marks.
 */
const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/**
 * Gives the text of every object that is a direct member of one container: of the root, or of the root's member `inside`.
 * The container may be an object or a list.
 */
export class JsonObjectCutter {
  readonly #each: (json: string) => void
  /** How deep the wanted objects begin: 1 below the root, 2 below its member. */
  readonly #wantedDepth: number
  readonly #inside: string | undefined
  #depth = 0
  #inString = false
  #escaped = false
  /** The newest text at depth 1: a member's name, when an object or list begins. */
  #key: Buffer[] = []
  #insideWanted = false
  /** Pieces of the wanted object that began in an earlier chunk. */
  #pieces: Buffer[] | undefined
  #begun = false

  constructor(inside: string | undefined, each: (json: string) => void) {
    this.#inside = inside
    this.#wantedDepth = inside === undefined ? 1 : 2
    this.#insideWanted = inside === undefined
    this.#each = each
  }

  /** Whether the answer is whole: the root was opened and closed. */
  get complete(): boolean {
    return this.#begun && this.#depth === 0 && !this.#inString
  }

  push(chunk: Buffer): void {
    let start = this.#pieces === undefined ? -1 : 0
    let index = 0
    while (index < chunk.length) {
      if (this.#inString) {
        index = this.#readString(chunk, index)
        continue
      }
      const byte = chunk[index]
      if (byte === quote) {
        this.#inString = true
        if (this.#depth === 1) this.#key = []
      } else if (byte === openBrace || byte === openBracket) {
        if (this.#open(byte)) {
          start = index
          this.#pieces = []
        }
      } else if (byte === closeBrace || byte === closeBracket) {
        this.#depth -= 1
        if (this.#pieces !== undefined && this.#depth === this.#wantedDepth) {
          this.#emit(chunk.subarray(start, index + 1))
          start = -1
        }
      }
      index += 1
    }
    if (this.#pieces !== undefined) this.#pieces.push(chunk.subarray(start))
  }

  /** Enters an object or list; tells whether a wanted object begins with it. */
  #open(byte: number): boolean {
    this.#begun = true
    if (this.#depth === 1 && this.#inside !== undefined)
      this.#insideWanted = Buffer.concat(this.#key).toString() === this.#inside
    const wanted = byte === openBrace && this.#insideWanted && this.#depth === this.#wantedDepth
    this.#depth += 1
    return wanted
  }

  /** Goes to the end of the string, or of the chunk; gives the index after it. */
  #readString(chunk: Buffer, from: number): number {
    let index = from
    if (this.#escaped) {
      this.#escaped = false
      index += 1
    }
    for (;;) {
      const end = chunk.indexOf(quote, index)
      const stop = end === -1 ? chunk.length : end
      let backslashes = 0
      while (stop - backslashes > index && chunk[stop - backslashes - 1] === backslash) backslashes += 1
      const escapes = backslashes % 2 === 1
      if (end === -1) {
        this.#escaped = escapes
        if (this.#depth === 1) this.#key.push(chunk.subarray(from))
        return chunk.length
      }
      index = end + 1
      if (escapes) continue
      this.#inString = false
      if (this.#depth === 1) this.#key.push(chunk.subarray(from, end))
      return index
    }
  }

  #emit(last: Buffer): void {
    const pieces = this.#pieces ?? []
    this.#pieces = undefined
    this.#each((pieces.length === 0 ? last : Buffer.concat([...pieces, last])).toString())
  }
}
