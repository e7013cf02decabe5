import type { RateLimit } from './web-config.ts'

/** Lets a burst of requests pass, and then one each interval. */
export class TokenBucket {
  readonly #limit: RateLimit
  #tokens: number
  #atMs: number

  /** @param nowMs by a clock that does not step, as each later one */
  constructor(limit: RateLimit, nowMs: number) {
    this.#limit = limit
    this.#tokens = limit.burst
    this.#atMs = nowMs
  }

  /** @returns whether a request may pass now; it is then counted */
  take(nowMs: number): boolean {
    const { intervalMs, burst } = this.#limit
    this.#tokens = Math.min(burst, this.#tokens + (nowMs - this.#atMs) / intervalMs)
    this.#atMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
