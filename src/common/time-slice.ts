/**
 * How long work may go on before whatever else waits gets its turn, in milliseconds. Several pieces of work have a slice each in one turn
 * of the event loop, and a busy machine makes each of them longer.
 */
const sliceMs = 2

/**
 * Keeps long work from blocking the event loop: `if (slice.over) await slice.next()` between its steps. By time rather than by
 * count, since what a step costs depends on the machine and on what else runs there.
 */
export class TimeSlice {
  #began = performance.now()

  /** Whether the work has had its time. */
  get over(): boolean {
    return performance.now() - this.#began >= sliceMs
  }

  /** Lets requests, timers and answers be served; then the next slice begins. */
  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#began = performance.now()
  }
}
