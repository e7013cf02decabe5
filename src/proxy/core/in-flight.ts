/** How many scrapes may run at once, in all and per target: one slow node must not take every place. */
export interface InFlightLimits {
  readonly total: number
  readonly perTarget: number
}

/** Counts scrapes that run. */
export class InFlight {
  readonly #limits: InFlightLimits
  readonly #byTarget = new Map<string, number>()
  #total = 0

  constructor(limits: InFlightLimits) {
    this.#limits = limits
  }

  get total(): number {
    return this.#total
  }

  /**
   * Takes a place for a scrape of `target`, to be given back by disposing of it once.
   *
   * @returns undefined when all places, or all of this target, are taken
   */
  enter(target: string): Disposable | undefined {
    const running = this.#byTarget.get(target) ?? 0
    if (this.#total >= this.#limits.total || running >= this.#limits.perTarget) return undefined
    this.#total += 1
    this.#byTarget.set(target, running + 1)
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        this.#total -= 1
        const left = (this.#byTarget.get(target) ?? 1) - 1
        if (left === 0) this.#byTarget.delete(target)
        else this.#byTarget.set(target, left)
      },
    }
  }
}
