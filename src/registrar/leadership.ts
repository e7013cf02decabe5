/** Who may write. */
export interface Leadership {
  /** Aborted when this replica may no longer write; undefined while it may not. */
  readonly term: AbortSignal | undefined
  /** Calls `listener` whenever `term` became another one or undefined. */
  subscribe(listener: () => void): Disposable
}

/** The only replica: it always leads. */
export const soleLeadership: Leadership = {
  term: new AbortController().signal,
  subscribe: () => ({ [Symbol.dispose]: () => undefined }),
}
