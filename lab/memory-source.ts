/** A set of objects that a test or benchmark holds itself, where what is tried does not concern the API server. */
import type { Change, Source, SourceCounts } from '../src/kubernetes/source.ts'

export class MemorySource<T extends { readonly uid: string }> implements Source<T> {
  readonly resource: string
  readonly objects = new Map<string, T>()
  readonly counts: SourceCounts = { lists: 0, listFailures: 0, watches: 0, watchFailures: 0, events: 0 }
  readonly #listeners = new Set<(changes: readonly Change<T>[]) => void>()
  #listedAtMs: number | undefined
  #problem: string | undefined

  /** @param objects undefined: the first list has not come yet */
  constructor(resource: string, objects?: readonly T[]) {
    this.resource = resource
    if (objects !== undefined) this.replace(objects)
  }

  get listedAtMs(): number | undefined {
    return this.#listedAtMs
  }

  get problem(): string | undefined {
    return this.#problem
  }

  /** As a whole list that was read now. */
  replace(objects: readonly T[]): void {
    const wanted = new Set(objects.map(({ uid }) => uid))
    for (const uid of [...this.objects.keys()]) if (!wanted.has(uid)) this.remove(uid)
    for (const object of objects) this.put(object)
    this.#listedAtMs = Date.now()
    this.#tell([])
  }

  put(object: T): void {
    const previous = this.objects.get(object.uid)
    this.objects.set(object.uid, object)
    this.#tell([previous === undefined ? { type: 'added', object } : { type: 'updated', object, previous }])
  }

  remove(uid: string): void {
    const object = this.objects.get(uid)
    if (object === undefined) return
    this.objects.delete(uid)
    this.#tell([{ type: 'removed', object }])
  }

  fail(problem: string | undefined): void {
    this.#problem = problem
    this.#tell([])
  }

  subscribe(listener: (changes: readonly Change<T>[]) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  async relist(): Promise<void> {
    // What is held is all there is.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is open.
  }

  #tell(changes: readonly Change<T>[]): void {
    for (const listener of this.#listeners) listener(changes)
  }
}
