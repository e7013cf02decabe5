/** What the simulated API server holds: objects by resource, and the events that led there. */
import type { Selector } from './selectors.ts'

/** One version of one object. Immutable: lists and events share it. */
export interface Entry {
  /** Undefined: cluster-wide. */
  readonly namespace: string | undefined
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** What fieldSelector may name. */
  readonly fields: Readonly<Record<string, string>>
  readonly resourceVersion: number
  /** The object as JSON in UTF-8, without `kind` and `apiVersion`. */
  readonly render: () => Buffer
}

export interface StoredEvent {
  readonly resourceVersion: number
  readonly previous: Entry | undefined
  readonly current: Entry | undefined
}

/** Which objects a list or watch asks for. */
export interface Scope {
  readonly namespace: string | undefined
  readonly labels: Selector
  readonly fields: Selector
}

/** Resource versions count all changes of the server, whatever the resource. */
export class VersionCounter {
  current = 1_000

  next(): number {
    this.current += 1
    return this.current
  }
}

const keptEvents = 50_000

export class Store {
  readonly #versions: VersionCounter
  readonly #entries = new Map<string, Entry>()
  #events: StoredEvent[] = []
  #oldestVersion: number
  #sorted: readonly Entry[] | undefined
  readonly #listeners = new Set<(event: StoredEvent) => void>()

  constructor(versions: VersionCounter) {
    this.#versions = versions
    this.#oldestVersion = versions.current
  }

  get size(): number {
    return this.#entries.size
  }

  get(namespace: string | undefined, name: string): Entry | undefined {
    return this.#entries.get(keyOf(namespace, name))
  }

  /** Adds or replaces an object; `make` gets its resource version. */
  put(make: (resourceVersion: number) => Entry): Entry {
    const entry = make(this.#versions.next())
    const key = keyOf(entry.namespace, entry.name)
    const previous = this.#entries.get(key)
    this.#entries.set(key, entry)
    this.#record({ resourceVersion: entry.resourceVersion, previous, current: entry })
    return entry
  }

  /** @throws Error when there is no such object. */
  delete(namespace: string | undefined, name: string): void {
    const key = keyOf(namespace, name)
    const previous = this.#entries.get(key)
    if (previous === undefined) throw new Error(`Cannot delete ${key}: there is no such object`)
    this.#entries.delete(key)
    this.#record({ resourceVersion: this.#versions.next(), previous, current: undefined })
  }

  /** All that `scope` asks for, by namespace and name. */
  list(scope: Scope): readonly Entry[] {
    this.#sorted ??= [...this.#entries.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, entry]) => entry)
    return this.#sorted.filter((entry) => inScope(entry, scope))
  }

  /** The events after a version; undefined when some of them are forgotten. */
  since(resourceVersion: number): readonly StoredEvent[] | undefined {
    if (resourceVersion < this.#oldestVersion) return undefined
    return this.#events.filter((event) => event.resourceVersion > resourceVersion)
  }

  /** Forgets all events so far, as etcd's compaction does: watches from before get 410. */
  compact(): void {
    this.#oldestVersion = this.#versions.next()
    this.#events = []
  }

  onEvent(listener: (event: StoredEvent) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  #record(event: StoredEvent): void {
    this.#sorted = undefined
    this.#events.push(event)
    if (this.#events.length > 2 * keptEvents) {
      const dropped = this.#events.splice(0, keptEvents)
      this.#oldestVersion = dropped.at(-1)?.resourceVersion ?? this.#oldestVersion
    }
    for (const listener of this.#listeners) listener(event)
  }
}

function keyOf(namespace: string | undefined, name: string): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

function inScope(entry: Entry, { namespace, labels, fields }: Scope): boolean {
  return (
    (namespace === undefined || entry.namespace === namespace) && labels(entry.labels) && fields(entry.fields)
  )
}

/** What an event is to a watch: an object that leaves its scope was deleted, one that enters it was added. */
export function seenBy(
  scope: Scope,
  { previous, current, resourceVersion }: StoredEvent,
):
  | {
      readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
      readonly entry: Entry
      readonly resourceVersion: number
    }
  | undefined {
  const before = previous !== undefined && inScope(previous, scope)
  if (current !== undefined && inScope(current, scope))
    return { type: before ? 'MODIFIED' : 'ADDED', entry: current, resourceVersion }
  return before ? { type: 'DELETED', entry: previous, resourceVersion } : undefined
}
