import type { ServiceRecord } from '../core/service.ts'

/** What a blocking query waits for: the instances of a name, or the names and their tags. */
export type Topic = { readonly service: string } | 'names'

export interface Instance {
  readonly service: ServiceRecord
  readonly createIndex: number
  readonly modifyIndex: number
}

/** A name with its instances by ID, and how many of them carry each tag. */
interface Name {
  readonly instances: Map<string, Instance>
  readonly tags: Map<string, number>
  index: number
}

/**
 * The services of the embedded catalog, and Consul's index over them: every change has a higher one, each name keeps
 * that of its own last change, and the list of names that of the last change to a name or tag.
 */
export class EmbeddedStore {
  readonly #byId = new Map<string, Instance>()
  readonly #names = new Map<string, Name>()
  readonly #waiting = new Map<string, Set<() => void>>()
  #index: number
  #namesIndex: number
  /** When the last name vanished: the index of names that are not there. */
  #extinctIndex: number

  /**
   * @param firstIndex above every index of an earlier run, so that who waits with one of those is answered at once:
   *   milliseconds since the epoch do
   */
  constructor(firstIndex: number) {
    this.#index = firstIndex
    this.#namesIndex = firstIndex
    this.#extinctIndex = firstIndex
  }

  /** All services. */
  *services(): Generator<ServiceRecord> {
    for (const { service } of this.#byId.values()) yield service
  }

  get(id: string): ServiceRecord | undefined {
    return this.#byId.get(id)?.service
  }

  /** The instances of a name; those with all of `tags`. */
  instances(name: string, tags: readonly string[] = []): Instance[] {
    const instances = [...(this.#names.get(name)?.instances.values() ?? [])]
    return instances.filter(({ service }) => tags.every((tag) => service.tags.includes(tag)))
  }

  /** Each name with the tags of all its instances. */
  names(): Map<string, readonly string[]> {
    return new Map([...this.#names].map(([name, { tags }]) => [name, [...tags.keys()]]))
  }

  indexOf(topic: Topic): number {
    return topic === 'names'
      ? this.#namesIndex
      : (this.#names.get(topic.service)?.index ?? this.#extinctIndex)
  }

  /** Makes changes, and wakes those who wait for them, once. */
  change(puts: readonly ServiceRecord[], deletes: readonly string[]): void {
    const touched = new Set<string>()
    for (const service of puts) this.#replace(service.id, service, touched)
    for (const id of deletes) this.#replace(id, undefined, touched)
    for (const name of touched) this.#wake({ service: name })
    if (touched.size > 0) this.#wake('names')
  }

  /** Resolves when the index of `topic` differs from `index`, after `ms`, or when `signal` is aborted. */
  async waitForChange(topic: Topic, index: number, ms: number, signal: AbortSignal): Promise<void> {
    const over = (): boolean => signal.aborted || this.indexOf(topic) !== index
    if (over()) return
    const key = keyOf(topic)
    const waiting = this.#waiting.get(key) ?? new Set()
    this.#waiting.set(key, waiting)
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        waiting.delete(wake)
        if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
        resolve()
      }
      const wake = (): void => {
        if (over()) done()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done, { once: true })
      waiting.add(wake)
    })
  }

  /** The new one goes in before the old one goes out: a name or tag that both have does not vanish in between. */
  #replace(id: string, next: ServiceRecord | undefined, touched: Set<string>): void {
    const old = this.#byId.get(id)
    if (old === undefined && next === undefined) return
    this.#index += 1
    if (next === undefined) this.#byId.delete(id)
    else {
      this.#add(next, old?.createIndex ?? this.#index)
      touched.add(next.name)
    }
    if (old !== undefined) {
      this.#drop(old.service, next?.name === old.service.name)
      touched.add(old.service.name)
    }
  }

  #add(service: ServiceRecord, createIndex: number): void {
    const known = this.#names.get(service.name)
    const name = known ?? { instances: new Map(), tags: new Map(), index: 0 }
    const instance = { service, createIndex, modifyIndex: this.#index }
    if (known === undefined) {
      this.#names.set(service.name, name)
      this.#namesIndex = this.#index
    }
    this.#byId.set(service.id, instance)
    name.instances.set(service.id, instance)
    name.index = this.#index
    for (const tag of service.tags) this.#countTag(name, tag, 1)
  }

  /** @param replaced its name has the ID already again */
  #drop(service: ServiceRecord, replaced: boolean): void {
    const name = this.#names.get(service.name)
    if (name === undefined) return
    if (!replaced) name.instances.delete(service.id)
    name.index = this.#index
    for (const tag of service.tags) this.#countTag(name, tag, -1)
    if (name.instances.size > 0) return
    this.#names.delete(service.name)
    this.#namesIndex = this.#index
    this.#extinctIndex = this.#index
  }

  #countTag(name: Name, tag: string, by: 1 | -1): void {
    const before = name.tags.get(tag) ?? 0
    if (before + by === 0) name.tags.delete(tag)
    else name.tags.set(tag, before + by)
    if (before === 0 || before + by === 0) this.#namesIndex = this.#index
  }

  #wake(topic: Topic): void {
    for (const wake of this.#waiting.get(keyOf(topic)) ?? []) wake()
  }
}

function keyOf(topic: Topic): string {
  return topic === 'names' ? 'names' : `service ${topic.service}`
}
