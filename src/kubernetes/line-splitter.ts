const newline = 0x0a

/** Cuts a stream of bytes into lines; characters and lines may span any number of chunks. */
export class LineSplitter {
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #bytes = 0

  /** @param maxBytes the longest line */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * Takes a chunk and gives the lines that it completes, without their ends; empty lines are left out.
   *
   * @throws Error when a line is longer than `maxBytes`
   */
  push(chunk: Buffer): string[] {
    const lines: string[] = []
    let start = 0
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end))
      const line = Buffer.concat(this.#parts, this.#bytes).toString('utf8')
      if (line !== '') lines.push(line)
      this.#parts = []
      this.#bytes = 0
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
    return lines
  }

  #keep(part: Buffer): void {
    this.#parts.push(part)
    this.#bytes += part.length
    if (this.#bytes > this.#maxBytes)
      throw new Error(
        `Cannot read a line of ${this.#bytes} bytes or more, expected at most ${this.#maxBytes}`,
      )
  }
}
