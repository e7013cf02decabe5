import { JsonCutShort, JsonPicker, type JsonShape } from './json-pick.ts'

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/**
 * Reads objects out of a JSON text while it arrives, so that an answer of many megabytes never exists as one string or
 * one tree. Works on bytes: the bytes of UTF-8's multi-byte characters are never those of JSON's own marks.
 *
 * What is read are the objects directly in one container: the root, or the root's member `inside`.
 */
export class JsonObjectCutter {
  readonly #inside: string | undefined
  readonly #picker: JsonPicker
  readonly #each: (object: unknown) => void
  readonly #rest: ((bytes: Buffer) => void) | undefined
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
  #begun = false

  /**
   * @param inside the name of the root's member that holds the objects; undefined: the root does
   * @param shape what is kept of each object
   * @param each gets each object, in order
   * @param rest gets all other bytes, with `0` for each object: JSON again once the text is whole. To be copied, for they are overwritten
   */
  constructor(
    inside: string | undefined,
    shape: JsonShape,
    each: (object: unknown) => void,
    rest?: (bytes: Buffer) => void,
  ) {
    this.#picker = new JsonPicker(shape)
    this.#inside = inside
    this.#each = each
    this.#rest = rest
    this.#wantedDepth = inside === undefined ? 1 : 2
    this.#isInside = inside === undefined
  }

  /** Whether the text is whole: its root was opened and closed. */
  get complete(): boolean {
    return this.#begun && this.#depth === 0 && !this.#inString
  }

  /**
   * Takes the next bytes, which may be overwritten afterwards; calls `each` for the objects that they complete.
   *
   * @throws SyntaxError for an object that is none
   */
  push(chunk: Buffer): void {
    /** Where that begins which belongs to no finished object and was not left to `rest`. */
    let from = 0
    let index = 0
    while (index < chunk.length) {
      if (this.#inString) {
        index = this.#skipString(chunk, index)
        continue
      }
      if (this.#object !== undefined) {
        index = this.#skipInside(chunk, index)
        if (this.#depth === this.#wantedDepth) {
          this.#finish(this.#object, chunk.subarray(from, index))
          from = index
        }
        continue
      }
      const byte = chunk[index]
      if (byte === quote) {
        this.#inString = true
        if (this.#depth === 1) this.#name = []
      } else if (byte === openBrace || byte === openBracket) {
        if (this.#opens(byte)) {
          this.#leave(chunk, from, index)
          from = index
          const end = this.#readWhole(chunk, index)
          if (end !== undefined) {
            from = end
            index = end
            continue
          }
          this.#object = []
        }
      } else if (byte === closeBrace || byte === closeBracket) {
        this.#depth -= 1
      }
      index += 1
    }
    if (this.#object === undefined) this.#leave(chunk, from, chunk.length)
    else this.#object.push(Buffer.from(chunk.subarray(from)))
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

  /** Goes to the end of the object, or of the chunk; gives the index after it. */
  #skipInside(chunk: Buffer, start: number): number {
    const { length } = chunk
    const wanted = this.#wantedDepth
    let depth = this.#depth
    let index = start
    while (index < length && depth > wanted) {
      const byte = chunk[index] as number
      index += 1
      if (byte === quote) {
        // Read only where there is something: one look beyond the end makes every later one slower.
        while (index < length) {
          const inner = chunk[index] as number
          if (inner === quote) break
          index += inner === backslash ? 2 : 1
        }
        index += 1
        if (index > length) {
          this.#inString = true
          // The escaped character is in the next chunk.
          this.#escaped = index > length + 1
          index = length
        }
      } else if (byte === openBrace || byte === openBracket) depth += 1
      else if (byte === closeBrace || byte === closeBracket) depth -= 1
    }
    this.#depth = depth
    return index
  }

  /** Goes to the end of the string, or of the chunk; gives the index after it. */
  #skipString(chunk: Buffer, start: number): number {
    const { length } = chunk
    let index = start
    if (this.#escaped) {
      this.#escaped = false
      index += 1
    }
    // Strings are short: a search that leaves JavaScript takes longer than this.
    while (index < length) {
      const byte = chunk[index] as number
      if (byte === quote) break
      index += byte === backslash ? 2 : 1
    }
    if (this.#depth === 1) this.#name.push(Buffer.from(chunk.subarray(start, index)))
    // The escaped character is in the next chunk.
    this.#escaped = index > length
    this.#inString = index >= length
    return this.#inString ? length : index + 1
  }

  /** Reads an object that lies whole in the chunk, as most do; gives the index after it. */
  #readWhole(chunk: Buffer, start: number): number | undefined {
    let object: unknown
    try {
      object = this.#picker.parse(chunk, start)
    } catch (error) {
      if (error instanceof JsonCutShort) return undefined
      throw error
    }
    const { end } = this.#picker
    this.#depth -= 1
    this.#rest?.(zero)
    this.#each(object)
    return end
  }

  #finish(earlier: readonly Buffer[], last: Buffer): void {
    this.#object = undefined
    this.#rest?.(zero)
    this.#each(this.#picker.parse(Buffer.concat([...earlier, last])))
  }

  #leave(chunk: Buffer, from: number, to: number): void {
    if (to > from) this.#rest?.(chunk.subarray(from, to))
  }
}

const zero = Buffer.from('0')
