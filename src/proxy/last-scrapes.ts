/** The newest scrape of a node, for the page. */
export interface LastScrape {
  /** Milliseconds since the epoch. */
  readonly atMs: number
  readonly code: string
  readonly seconds: number
  readonly bytes: number
  /** The newest failure, which later successes do not erase. */
  readonly error: { readonly atMs: number; readonly message: string } | undefined
}

/** What is remembered of each node's scrapes: bounded by the known nodes, since only those are recorded. */
export class LastScrapes {
  readonly #byNode = new Map<string, LastScrape>()

  of(node: string): LastScrape | undefined {
    return this.#byNode.get(node)
  }

  /** @param message why it failed; undefined when it did not */
  record(node: string, scrape: Omit<LastScrape, 'error'>, message: string | undefined): void {
    const error =
      message === undefined
        ? this.#byNode.get(node)?.error
        : { atMs: scrape.atMs, message: message.slice(0, 300) }
    this.#byNode.set(node, { ...scrape, error })
  }

  forget(node: string): void {
    this.#byNode.delete(node)
  }
}
