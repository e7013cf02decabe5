import { Backoff } from '../common/backoff.ts'
import { describeError } from '../common/errors.ts'
import { pause } from '../common/lifecycle.ts'
import type { Logger } from '../common/logger.ts'
import { ApiError } from './api-error.ts'
import type { KubernetesClient } from './client.ts'
import { HeldObjects } from './held-objects.ts'
import { readList, type ListQuery } from './read-list.ts'
import type { Resource } from './resource.ts'
import type { Change, Source, SourceCounts } from './source.ts'
import { watchEvents, type WatchEvent } from './watch-events.ts'

export interface ListAndWatchOptions<T> extends ListQuery {
  readonly client: KubernetesClient
  readonly resource: Resource<T>
  /** @default all namespaces */
  readonly namespace?: string | undefined
  readonly log: Logger
  /** A watch that is silent for longer is opened anew, in milliseconds; servers send a bookmark a minute. @default 90000 */
  readonly silenceMs?: number
  /** How often to list where watching is forbidden, in milliseconds. @default 600000 */
  readonly pollMs?: number
  /** First delay after a failure, in milliseconds. @default 500 */
  readonly retryMs?: number
}

/** A watch that ended sooner is not opened again at once: a server that ends each would be asked in a hot loop. */
const shortWatchMs = 5_000
/** So many changes of a list are told at a time. */
const batchSize = 50
/** A list whose continue token expired is begun again that often. */
const listAttempts = 3

type Phase = 'list' | 'opening watch' | 'watch'

/**
 * Keeps records of all objects of a resource: lists in pages, watches from there, opens the watch again when it ends or
 * breaks, lists again when its version is too old. Disposing ends it.
 */
export class ListAndWatch<T> implements Source<T> {
  readonly resource: string
  readonly objects: ReadonlyMap<string, T>
  readonly counts: SourceCounts
  readonly #counts = { lists: 0, listFailures: 0, watches: 0, watchFailures: 0, events: 0 }
  readonly #options: ListAndWatchOptions<T>
  readonly #held: HeldObjects<T>
  readonly #listeners = new Set<(changes: readonly Change<T>[]) => void>()
  readonly #stop = new AbortController()
  readonly #backoff: Backoff
  readonly #running: Promise<void>
  /** Ends the wait before the next try. */
  #hurry = new AbortController()
  #listing: Promise<string> | undefined
  /** Where the watch goes on; undefined: list first. */
  #resourceVersion: string | undefined
  #phase: Phase = 'list'
  #problem: string | undefined
  #listedAtMs: number | undefined
  /** By a clock that does not step. */
  #listedAtTicks = Number.NEGATIVE_INFINITY

  private constructor(options: ListAndWatchOptions<T>) {
    this.#options = options
    this.resource = options.resource.plural
    this.#held = new HeldObjects(options.resource)
    this.objects = this.#held.objects
    this.counts = this.#counts
    this.#backoff = new Backoff({ firstMs: options.retryMs ?? 500 })
    this.#running = this.#run()
  }

  /** Starts at once; failures are retried, and told by {@link problem}. */
  static start<T>(options: ListAndWatchOptions<T>): ListAndWatch<T> {
    return new ListAndWatch(options)
  }

  get listedAtMs(): number | undefined {
    return this.#listedAtMs
  }

  get problem(): string | undefined {
    return this.#problem
  }

  subscribe(listener: (changes: readonly Change<T>[]) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  async relist(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const gone = Promise.withResolvers<never>()
    const onAbort = (): void => {
      gone.reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      // The list goes on without the caller: another may wait for it too.
      await Promise.race([this.#listOnce(), gone.promise])
      // The server answers again: a watch that waits to be opened need not wait longer.
      this.#backoff.reset()
      this.#hurry.abort()
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    const stopped = (): boolean => signal.aborted
    while (!stopped()) {
      try {
        if (this.#resourceVersion === undefined) {
          this.#phase = 'list'
          this.#resourceVersion = await this.#listOnce()
        }
        await this.#watch(this.#resourceVersion, signal)
      } catch (error) {
        if (!stopped()) await this.#recover(error, signal)
      }
    }
  }

  /** One list at a time: who wants one while it runs gets the same. */
  #listOnce(): Promise<string> {
    this.#listing ??= this.#list(this.#stop.signal).finally(() => (this.#listing = undefined))
    return this.#listing
  }

  async #list(signal: AbortSignal): Promise<string> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#listWhole(signal)
      } catch (error) {
        this.#held.abandonList()
        if (signal.aborted) throw error
        this.#counts.listFailures += 1
        if (!(error instanceof ApiError && error.code === 'expired') || attempt === listAttempts) throw error
      }
    }
  }

  async #listWhole(signal: AbortSignal): Promise<string> {
    const { client, resource, namespace, log } = this.#options
    const batch: Change<T>[] = []
    const tellBatch = (): void => {
      this.#tell(batch.splice(0))
    }
    const each = (object: unknown): void => {
      batch.push(...this.#held.addListed(object))
      if (batch.length >= batchSize) tellBatch()
    }
    this.#held.beginList()
    const { labelSelector, fieldSelector } = this.#options
    const { plural, shape } = resource
    const request = { plural, path: resource.path(namespace), shape, labelSelector, fieldSelector, signal }
    const resourceVersion = await readList(client, request, each).finally(tellBatch)
    const removals = this.#held.endList()
    this.#counts.lists += 1
    this.#listedAtMs = Date.now()
    this.#listedAtTicks = performance.now()
    this.#tell(removals)
    this.#notify([])
    log.debug({ event: 'listed', resource: resource.plural, objects: this.objects.size }, 'Read a whole list')
    return resourceVersion
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, resource, namespace, labelSelector, fieldSelector, silenceMs = 90_000 } = this.#options
    const request = {
      ...{ plural: resource.plural, path: resource.path(namespace), labelSelector, fieldSelector },
      ...{ resourceVersion, silenceMs, signal },
      // Spread, so that the watches of many programs do not end together.
      timeoutSeconds: Math.round(300 + Math.random() * 300),
    }
    this.#phase = 'opening watch'
    let openedAt: number | undefined
    try {
      for await (const events of watchEvents(client, request)) {
        if (openedAt === undefined) {
          openedAt = performance.now()
          this.#watchOpened()
        }
        this.#applyEvents(events)
      }
    } finally {
      if (openedAt !== undefined && performance.now() - openedAt > shortWatchMs) this.#backoff.reset()
    }
    if (performance.now() - (openedAt ?? 0) <= shortWatchMs) await pause(this.#backoff.nextMs(), signal)
  }

  #watchOpened(): void {
    this.#phase = 'watch'
    this.#counts.watches += 1
    this.#setProblem(undefined)
  }

  #applyEvents(events: readonly WatchEvent[]): void {
    const changes: Change<T>[] = []
    for (const event of events) {
      this.#counts.events += 1
      if (event.type !== 'BOOKMARK') changes.push(...this.#held.applyEvent(event.type, event.object))
      this.#resourceVersion = event.resourceVersion
    }
    this.#tell(changes)
  }

  /** Decides what to do after a failure, and waits as long as that takes. */
  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { log, pollMs = 600_000 } = this.#options
    const { resource } = this
    const code = error instanceof ApiError ? error.code : undefined
    if (this.#phase !== 'list') {
      this.#counts.watchFailures += 1
      if (code === 'expired' || code === 'bad_request') {
        this.#resourceVersion = undefined
        log.info({ event: 'watch_expired', resource }, 'The watch is too old to go on: listing again')
      } else if (code === 'forbidden') {
        this.#setProblem(undefined)
        const seconds = pollMs / 1_000
        log.warn(
          { event: 'watch_forbidden', resource, error: describeError(error) },
          `Watching is forbidden: changes are seen only by listing, every ${seconds} s; expected a role that allows to watch ${resource}`,
        )
        await this.#waitForNextPoll(pollMs, signal)
        this.#resourceVersion = undefined
        return
      } else if (this.#phase === 'watch') {
        // It worked until now and the next try most often does: no reason to call what is held old.
        log.info(
          { event: 'watch_broke', resource, error: describeError(error) },
          'The watch broke: opening it again',
        )
      } else this.#setProblem(describeError(error))
    } else this.#setProblem(describeError(error))
    const retryAfterMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0
    this.#hurry = new AbortController()
    const delayMs = Math.max(this.#backoff.nextMs(), retryAfterMs)
    await pause(delayMs, AbortSignal.any([signal, this.#hurry.signal]))
  }

  async #waitForNextPoll(pollMs: number, signal: AbortSignal): Promise<void> {
    const left = (): number => this.#listedAtTicks + pollMs - performance.now()
    while (!signal.aborted && left() > 0) await pause(left(), signal)
  }

  #setProblem(problem: string | undefined): void {
    if (this.#problem === problem) return
    this.#problem = problem
    const { resource } = this
    if (problem === undefined)
      this.#options.log.info({ event: 'source_recovered', resource }, 'Following the API server again')
    else
      this.#options.log.warn(
        { event: 'source_failed', resource, error: problem },
        'Cannot follow the API server',
      )
    this.#notify([])
  }

  #tell(changes: readonly Change<T>[]): void {
    if (changes.length > 0) this.#notify(changes)
  }

  #notify(changes: readonly Change<T>[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(changes)
      } catch (error) {
        const { log } = this.#options
        log.error({ event: 'listener_failed', error: describeError(error) }, 'A change could not be handled')
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
    await this.#listing?.catch(() => undefined)
  }
}
