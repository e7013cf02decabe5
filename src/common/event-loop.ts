import { performance } from 'node:perf_hooks'

/**
 * How long the turns of this thread's event loop take: whatever comes meanwhile waits so long. It looks in turns that come anyway,
 * by an immediate that does not count as work: a timer would wake a program that has nothing to do, and that again and again.
 */
export class EventLoopTurns implements Disposable {
  #longestMs = 0
  #endedAt = performance.now()
  #idleMs = performance.nodeTiming.idleTime
  #next = this.#look()

  /** The longest since this was last asked, in milliseconds, without the time in which there was nothing to do. */
  takeLongestMs(): number {
    const longest = this.#longestMs
    this.#longestMs = 0
    return longest
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#next)
  }

  #look(): NodeJS.Immediate {
    return setImmediate(() => {
      const now = performance.now()
      const idleMs = performance.nodeTiming.idleTime
      this.#longestMs = Math.max(this.#longestMs, now - this.#endedAt - (idleMs - this.#idleMs))
      this.#endedAt = now
      this.#idleMs = idleMs
      this.#next = this.#look()
    }).unref()
  }
}
