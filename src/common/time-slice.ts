/** How long the work of one turn of the event loop may take, all slices together, in milliseconds. */
const turnMs = 4

let waiting: (() => void)[] = []
let shareMs = turnMs

function wake(): void {
  const woken = waiting
  waiting = []
  shareMs = turnMs / woken.length
  for (const resume of woken) resume()
}

/**
 * Keeps long work from blocking the event loop: `if (slice.over) await slice.next()` between its steps. By time rather than by
 * count, since what a step costs depends on the machine and on what else runs there. Several pieces of work share a turn: each
 * gets its part of it.
 */
export class TimeSlice {
  #began = performance.now()
  #ms = shareMs

  /** Whether the work has had its time. */
  get over(): boolean {
    return performance.now() - this.#began >= this.#ms
  }

  /** Lets requests, timers and answers be served; then the next slice begins. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(wake)
    })
    this.#began = performance.now()
    this.#ms = shareMs
  }
}
