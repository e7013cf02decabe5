/** Wakes one waiting loop. A call while nobody waits is remembered for the next wait. */
export class Wake {
  #called = false
  #resolve: (() => void) | undefined

  call(): void {
    this.#called = true
    this.#resolve?.()
  }

  /** Waits for a call, for `ms` to pass (infinity: for ever), or for `signal`. Never rejects. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#called && !signal.aborted && ms > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
        signal.addEventListener('abort', this.#onAbort, { once: true })
        // setTimeout takes no more than 2^31 ms.
        if (ms < 2 ** 31) timer = setTimeout(resolve, ms)
      })
      clearTimeout(timer)
      signal.removeEventListener('abort', this.#onAbort)
      this.#resolve = undefined
    }
    this.#called = false
  }

  readonly #onAbort = (): void => {
    this.#resolve?.()
  }
}
