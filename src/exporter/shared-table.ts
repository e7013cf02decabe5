import type { NamespaceTarget, SocketTable, SocketTableSource } from './core/socket-table.ts'

/** A table from /proc is kept for this many times the duration of its reading. */
const throttle = 20

/** What is known of the last table. */
export interface TableFigures {
  readonly source: SocketTableSource['name']
  readonly ageSeconds: number
  readonly durationSeconds: number
  /** Sockets that were read. */
  readonly rows: number
}

/**
 * One socket table for all collectors that need it. A reading that outlasts its scrape goes on and serves the next one:
 * otherwise a node that takes longer than a scrape may would never be seen.
 */
export class SharedTable {
  readonly #source: SocketTableSource
  readonly #signal: AbortSignal
  #reading: Promise<SocketTable> | undefined
  #last: { table: SocketTable; at: number; durationMs: number } | undefined

  /** @param signal ends a reading for good */
  constructor(source: SocketTableSource, signal: AbortSignal) {
    this.#source = source
    this.#signal = signal
  }

  /**
   * The table now; from /proc one that is at most {@link throttle} times as old as its reading took. Collectors that ask
   * at the same time share one reading.
   */
  async read({ namespaces }: { readonly namespaces: readonly NamespaceTarget[] }): Promise<SocketTable> {
    if (this.#reading !== undefined) return this.#reading
    if (this.#last !== undefined && this.#isFresh(this.#last)) return this.#last.table
    this.#reading = this.#read(namespaces.map(({ inode, pids }) => ({ inode, pids })))
    return this.#reading
  }

  /** Whether it is read anew for each scrape. */
  get readsEachTime(): boolean {
    return this.#source.name === 'ebpf'
  }

  /** The last table; undefined before the first. */
  get latest(): SocketTable | undefined {
    return this.#last?.table
  }

  /** Undefined before the first table. */
  get figures(): TableFigures | undefined {
    if (this.#last === undefined) return undefined
    return {
      source: this.#source.name,
      ageSeconds: (performance.now() - this.#last.at) / 1_000,
      durationSeconds: this.#last.durationMs / 1_000,
      rows: this.#last.table.rows,
    }
  }

  async #read(namespaces: readonly NamespaceTarget[]): Promise<SocketTable> {
    const startedAt = performance.now()
    try {
      const table = await this.#source.read(namespaces, this.#signal)
      const at = performance.now()
      this.#last = { table, at, durationMs: at - startedAt }
      return table
    } finally {
      this.#reading = undefined
    }
  }

  #isFresh({ at, durationMs }: { at: number; durationMs: number }): boolean {
    const keepMs = this.#source.name === 'procfs' ? throttle * durationMs : 0
    return performance.now() - at < keepMs
  }
}
