import type { Change, Source } from './source.ts'

/** Several sources of one resource as one: a source per namespace, where only some namespaces are followed. */
export class MergedSource<T> implements Source<T> {
  readonly resource: string
  readonly objects = new Map<string, T>()
  readonly #sources: readonly Source<T>[]
  readonly #uidOf: (object: T) => string
  readonly #listeners = new Set<(changes: readonly Change<T>[]) => void>()
  readonly #subscriptions = new DisposableStack()

  /** @param sources at least one; owned from here on, with nothing in them yet that was not told */
  constructor(resource: string, sources: readonly Source<T>[], uidOf: (object: T) => string) {
    this.resource = resource
    this.#sources = sources
    this.#uidOf = uidOf
    for (const source of sources) {
      for (const [uid, object] of source.objects) this.objects.set(uid, object)
      this.#subscriptions.use(
        source.subscribe((changes) => {
          this.#follow(changes)
        }),
      )
    }
  }

  /** That of the source whose list is the oldest; undefined until all have one. */
  get listedAtMs(): number | undefined {
    const times = this.#sources.map(({ listedAtMs }) => listedAtMs)
    return times.reduce((oldest, time) =>
      oldest === undefined || time === undefined ? undefined : Math.min(oldest, time),
    )
  }

  get problem(): string | undefined {
    return this.#sources.find(({ problem }) => problem !== undefined)?.problem
  }

  get counts(): Source<T>['counts'] {
    const sum = { lists: 0, listFailures: 0, watches: 0, watchFailures: 0, events: 0 }
    for (const { counts } of this.#sources) {
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += counts[key]
    }
    return sum
  }

  subscribe(listener: (changes: readonly Change<T>[]) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  async relist(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.relist(signal)))
  }

  #follow(changes: readonly Change<T>[]): void {
    for (const { type, object } of changes) {
      if (type === 'removed') this.objects.delete(this.#uidOf(object))
      else this.objects.set(this.#uidOf(object), object)
    }
    for (const listener of this.#listeners) listener(changes)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.dispose()
    await Promise.all(this.#sources.map((source) => source[Symbol.asyncDispose]()))
  }
}
