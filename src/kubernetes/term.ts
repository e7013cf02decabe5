/**
 * A time during which one may act alone. It ends by the clock: by a timer, and, since timers of a process that was frozen
 * come late, by each look at it.
 */
export class Term {
  readonly #lengthMs: number
  readonly #controller = new AbortController()
  #begun: Moment
  #timer: NodeJS.Timeout | undefined
  #over: (() => void) | undefined

  /** It begins now. */
  constructor(lengthMs: number, begun: Moment = now()) {
    this.#lengthMs = lengthMs
    this.#begun = begun
  }

  /** The signal while the term lasts, undefined afterwards. */
  check(): AbortSignal | undefined {
    const { signal } = this.#controller
    if (!signal.aborted && this.#leftMs() <= 0) this.#expire()
    return signal.aborted ? undefined : signal
  }

  /** Watches the clock; calls `over` when the time is up. */
  start(over: () => void): void {
    this.#over = over
    this.#arm()
  }

  /** Lasts as long as `other` would from its own beginning. */
  extendTo(other: Term): void {
    this.#begun = other.#begun
    this.#arm()
  }

  /** Ends it early. */
  end(): void {
    clearTimeout(this.#timer)
    this.#over = undefined
    this.#controller.abort(new Error('this replica leads no longer'))
  }

  #arm(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => {
        if (this.check() !== undefined) this.#arm()
      },
      Math.max(1, this.#leftMs()),
    )
  }

  #expire(): void {
    const over = this.#over
    this.end()
    over?.()
  }

  /**
   * By the clock that took longer: one does not count while a machine is suspended, the other may be set back. Set forward,
   * it ends a term early, which does no harm.
   */
  #leftMs(): number {
    const { ticks, wall } = now()
    return this.#lengthMs - Math.max(ticks - this.#begun.ticks, wall - this.#begun.wall)
  }
}

interface Moment {
  readonly ticks: number
  readonly wall: number
}

function now(): Moment {
  return { ticks: performance.now(), wall: Date.now() }
}
