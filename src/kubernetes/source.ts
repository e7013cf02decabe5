/** One thing that happened to a set of objects. A pod re-created under its name is a `removed` and an `added`. */
export type Change<T> =
  | { readonly type: 'added'; readonly object: T }
  | { readonly type: 'updated'; readonly object: T; readonly previous: T }
  | { readonly type: 'removed'; readonly object: T }

/** What a source did since it began. */
export interface SourceCounts {
  /** Lists read to their end. */
  readonly lists: number
  readonly listFailures: number
  /** Watches that the server opened; each but the first is a restart. */
  readonly watches: number
  /** Watches that could not be opened or that broke. */
  readonly watchFailures: number
  /** Events of watches, bookmarks included. */
  readonly events: number
}

/**
 * A set of objects kept equal to the API server by list and watch. What it holds outlives a broken connection: the last
 * known objects stay, and `problem` says why they may be old.
 */
export interface Source<T> extends AsyncDisposable {
  /** The plural of the resource: `pods`. */
  readonly resource: string
  /** By UID. */
  readonly objects: ReadonlyMap<string, T>
  /**
   * The time (milliseconds since the epoch) at which the newest whole list was read to its end; undefined before the
   * first. Nothing may be removed on the word of a source that has none.
   */
  readonly listedAtMs: number | undefined
  /** Why the set may not be up to date (`forbidden`, connection refused …); undefined while list and watch work. */
  readonly problem: string | undefined
  readonly counts: SourceCounts
  /** Calls `listener` after each change, and once with an empty list whenever `listedAtMs` or `problem` changed. */
  subscribe(listener: (changes: readonly Change<T>[]) => void): Disposable
  /**
   * Reads the whole list again, now, beside the watch.
   * @throws when it cannot be read whole; what is held stays as it is
   */
  relist(signal: AbortSignal): Promise<void>
}
