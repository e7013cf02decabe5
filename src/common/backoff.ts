export interface BackoffOptions {
  /** First delay, in milliseconds. @default 500 */
  readonly firstMs?: number
  /** Longest delay, in milliseconds. @default 30000 */
  readonly maxMs?: number
  /** Uniform random numbers in [0, 1). @default Math.random */
  readonly random?: () => number
}

/** Exponential back-off with jitter: each delay lies between half and all of a ceiling that doubles up to `maxMs`. */
export class Backoff {
  readonly #firstMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #failures = 0

  constructor({ firstMs = 500, maxMs = 30_000, random = Math.random }: BackoffOptions = {}) {
    this.#firstMs = firstMs
    this.#maxMs = maxMs
    this.#random = random
  }

  /** Counts one more failure and gives the milliseconds to wait before the next try. */
  nextMs(): number {
    const ceiling = Math.min(this.#maxMs, this.#firstMs * 2 ** this.#failures)
    this.#failures += 1
    return ceiling / 2 + (this.#random() * ceiling) / 2
  }

  /** To be called after a success. */
  reset(): void {
    this.#failures = 0
  }
}
