/** Below this, a buffer of text is not worth being kept. In bytes. */
const startBytes = 1_024

/** How much larger than its last text a memory that is kept may be, before and after it was made to measure. */
const spareFactor = 1.25

/** Memory of texts that were released, by name. */
const spares = new Map<string, Buffer>()

/**
 * Text that grows at its end, as the bytes that are sent. Thousands of strings that live until an answer is complete cost more
 * to collect as garbage than to make; so the memory is used again by the next text of the same name, once this one is
 * released.
 */
export class TextBuffer {
  readonly #name: string
  #bytes: Buffer
  #length = 0

  /** @param name of the memory; two texts may have the same one at the same time */
  constructor(name: string) {
    this.#name = name
    this.#bytes = spares.get(name) ?? Buffer.allocUnsafeSlow(startBytes)
    spares.delete(name)
  }

  /** What was written; only until the text is released. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Adds text in UTF-8. */
  text(text: string): void {
    this.#reserve(text.length * 3)
    this.#length += this.#bytes.write(text, this.#length, 'utf8')
  }

  /** Adds a short text of ASCII alone: faster than {@link text}, which asks the runtime each time. */
  ascii(text: string): void {
    this.#reserve(text.length)
    const bytes = this.#bytes
    for (let k = 0; k < text.length; k += 1) bytes[this.#length + k] = text.charCodeAt(k)
    this.#length += text.length
  }

  /** Adds bytes as they are. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** How many bytes were written. */
  get length(): number {
    return this.#length
  }

  /** Adds once more what was written from one place to another. */
  repeat(from: number, to: number): void {
    this.#reserve(to - from)
    this.#bytes.copyWithin(this.#length, from, to)
    this.#length += to - from
  }

  /** Adds a number as JavaScript writes it; `+Inf`, `-Inf` and `NaN` as Prometheus does. */
  number(value: number): void {
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER && Number.isInteger(value)) this.#digits(value)
    else if (Number.isFinite(value)) this.text(String(value))
    else this.text(Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf')
  }

  /** Gives the memory back: what grew by doubling, or shrank, keeps only what it needed and a little more. */
  release(): void {
    if (this.#bytes.length > startBytes) {
      const needed = Math.ceil(this.#length * spareFactor)
      const fits = this.#bytes.length <= needed * spareFactor
      spares.set(this.#name, fits ? this.#bytes : Buffer.allocUnsafeSlow(Math.max(needed, startBytes)))
    }
    this.#bytes = Buffer.alloc(0)
    this.#length = 0
  }

  #digits(value: number): void {
    let digits = 1
    for (let limit = 10; limit <= value; limit *= 10) digits += 1
    this.#reserve(digits)
    let rest = value
    for (let at = this.#length + digits - 1; at >= this.#length; at -= 1) {
      const tenth = Math.floor(rest / 10)
      this.#bytes[at] = 48 + rest - tenth * 10
      rest = tenth
    }
    this.#length += digits
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}
