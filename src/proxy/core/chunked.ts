/** Enough for a chunk of 4 GB. */
const maxSizeDigits = 8

const carriageReturn = 13
const lineFeed = 10

/** What the next byte belongs to. */
type Part = 'size' | 'size_end' | 'data' | 'data_end' | 'data_end_feed' | 'last' | 'last_feed' | 'over'

/**
 * Takes the frames off a body that comes in chunks (RFC 9112, 7.1). Strict: the size in hexadecimal digits, no chunk
 * extension, no trailer, as Go's server writes it.
 */
export class ChunkedDecoder {
  #part: Part = 'size'
  #size = 0
  #digits = 0
  /** Of the data of the chunk. */
  #left = 0

  /** Whether the last chunk has come. */
  get ended(): boolean {
    return this.#part === 'over'
  }

  /**
   * Reads on.
   *
   * @param bytes what came
   * @param data gets each piece of the body, which is a part of `bytes`
   * @returns how many bytes were read: less than all only where the body ended before
   * @throws Error when this is no body in chunks, as it is wanted here
   */
  decode(bytes: Buffer, data: (piece: Buffer) => void): number {
    let at = 0
    while (at < bytes.length && this.#part !== 'over') {
      if (this.#part === 'data') {
        const piece = bytes.subarray(at, at + this.#left)
        at += piece.length
        this.#left -= piece.length
        if (this.#left === 0) this.#part = 'data_end'
        data(piece)
      } else {
        this.#frame(bytes[at] ?? 0)
        at += 1
      }
    }
    return at
  }

  /** One byte of what stands between the data. */
  #frame(byte: number): void {
    switch (this.#part) {
      case 'size':
        if (byte === carriageReturn && this.#digits > 0) this.#part = 'size_end'
        else this.#digit(byte)
        return
      case 'size_end':
        expect(byte, lineFeed)
        this.#left = this.#size
        this.#part = this.#size === 0 ? 'last' : 'data'
        this.#size = 0
        this.#digits = 0
        return
      case 'data_end':
        this.#follow(byte, carriageReturn, 'data_end_feed')
        return
      case 'data_end_feed':
        this.#follow(byte, lineFeed, 'size')
        return
      case 'last':
        this.#follow(byte, carriageReturn, 'last_feed')
        return
      default:
        this.#follow(byte, lineFeed, 'over')
    }
  }

  #digit(byte: number): void {
    const value = Number.parseInt(String.fromCharCode(byte), 16)
    this.#digits += 1
    if (Number.isNaN(value) || this.#digits > maxSizeDigits)
      throw new Error('the size of a chunk cannot be read')
    this.#size = this.#size * 16 + value
  }

  #follow(byte: number, wanted: number, next: Part): void {
    expect(byte, wanted)
    this.#part = next
  }
}

function expect(byte: number, wanted: number): void {
  if (byte !== wanted) throw new Error('a chunk does not end where it should')
}
