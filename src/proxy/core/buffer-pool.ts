/** Bytes of one buffer: four TLS records of the largest size, and more than a connection takes at once. */
const bufferBytes = 64 * 1024

/** Buffers that are used again, since fresh ones cost more than what is done with them. */
export class BufferPool {
  readonly #free: Buffer[] = []
  readonly #most: number

  /** @param most unused buffers that are kept */
  constructor(most: number) {
    this.#most = most
  }

  /** @returns a buffer with anything in it */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes)
  }

  /** Gives a buffer back that nobody reads any more, once. */
  give(buffer: Buffer): void {
    if (this.#free.length < this.#most) this.#free.push(buffer)
  }
}
