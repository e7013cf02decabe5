import { untilAborted } from '../common/concurrent.ts'
import { describeError, PodsonarError } from '../common/errors.ts'
import type { Family } from '../common/exposition.ts'
import type { Logger } from '../common/logger.ts'
import type { Collector } from './collector.ts'
import type { Snapshot } from './core/containers.ts'

/** How one collector did. */
export interface CollectorResult {
  readonly collector: string
  readonly durationSeconds: number
  /** Undefined when it failed. */
  readonly families: readonly Family[] | undefined
}

/** What one collection gave. */
interface Collected {
  /** Undefined when containers could not be listed. */
  readonly snapshot: Snapshot | undefined
  readonly results: readonly CollectorResult[]
}

/** What one collection gave to one of its scrapes. When the last of them has disposed of it, its families are released. */
export interface Collection extends Collected, Disposable {}

export interface ScraperOptions {
  /** Begun in this order. */
  readonly collectors: readonly Collector[]
  readonly snapshot: () => Promise<Snapshot>
  readonly log: Logger
}

/**
 * Runs all collectors, times each and contains its failure: one that fails or is late is absent, the rest answers. Scrapes
 * that overlap share one collection.
 */
export class Scraper {
  readonly #options: ScraperOptions
  readonly #running = new Set<string>()
  /** What each collector failed with last, so that the log gets it once. */
  readonly #failures = new Map<string, string>()
  #collection: { readonly collected: Promise<Collected>; users: number } | undefined

  constructor(options: ScraperOptions) {
    this.#options = options
  }

  /** @param budgetMs how long a collection that this call begins may take */
  async collect(budgetMs: number): Promise<Collection> {
    const collection = (this.#collection ??= {
      users: 0,
      collected: this.#collect(budgetMs).finally(() => {
        this.#collection = undefined
      }),
    })
    collection.users += 1
    const collected = await collection.collected
    return {
      ...collected,
      [Symbol.dispose]: () => {
        collection.users -= 1
        if (collection.users > 0) return
        for (const { families = [] } of collected.results) for (const family of families) family.release()
      },
    }
  }

  async #collect(budgetMs: number): Promise<Collected> {
    const late = new AbortController()
    const timer = setTimeout(() => {
      late.abort(new PodsonarError('late', `Cannot collect within ${Math.round(budgetMs)} ms`))
    }, budgetMs)
    try {
      const snapshot = untilAborted(this.#options.snapshot(), late.signal)
      const results = await Promise.all(
        this.#options.collectors.map((collector) => this.#run(collector, snapshot, late.signal)),
      )
      return { snapshot: await snapshot.catch(() => undefined), results }
    } finally {
      clearTimeout(timer)
    }
  }

  async #run(
    collector: Collector,
    snapshot: Promise<Snapshot>,
    signal: AbortSignal,
  ): Promise<CollectorResult> {
    const { name } = collector
    let startedAt = performance.now()
    try {
      const known = await snapshot
      startedAt = performance.now()
      const families = await untilAborted(this.#start(collector, known, signal), signal)
      this.#failures.delete(name)
      return { collector: name, durationSeconds: secondsSince(startedAt), families }
    } catch (error) {
      this.#report(name, describeError(error))
      return { collector: name, durationSeconds: secondsSince(startedAt), families: undefined }
    }
  }

  /** One that was late and still runs is not begun a second time. */
  async #start(collector: Collector, snapshot: Snapshot, signal: AbortSignal): Promise<readonly Family[]> {
    const { name } = collector
    if (this.#running.has(name))
      throw new PodsonarError(
        'late',
        `Cannot collect ${name}: the collection of an earlier scrape still runs`,
      )
    this.#running.add(name)
    try {
      return await collector.collect(snapshot, signal)
    } finally {
      this.#running.delete(name)
    }
  }

  #report(collector: string, error: string): void {
    if (this.#failures.get(collector) === error) return
    this.#failures.set(collector, error)
    this.#options.log.warn(
      { event: 'collector_failed', collector, error },
      'A collector failed: its metrics are absent',
    )
  }
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1_000
}

/** Without a header: Prometheus' own default. */
const defaultTimeoutSeconds = 10

/**
 * How long a collection may take for a scrape whose X-Prometheus-Scrape-Timeout-Seconds is `header`: a tenth less, at
 * least 50 ms and at most a second, so that the answer arrives in time.
 *
 * @returns milliseconds
 */
export function scrapeBudgetMs(header: string | string[] | undefined): number {
  const seconds = typeof header === 'string' ? Number(header) : Number.NaN
  const ms = (seconds > 0 && seconds <= 3_600 ? seconds : defaultTimeoutSeconds) * 1_000
  return Math.max(1, ms - Math.min(1_000, Math.max(50, ms / 10)))
}
