import type { PodRecord } from '../kubernetes/records.ts'
import type { Source } from '../kubernetes/source.ts'

/** The known pods, by namespace and name. What a source last knew stays while the API server is away. */
export class Pods implements Disposable {
  readonly #source: Source<PodRecord>
  readonly #subscription: Disposable
  readonly #byName: Map<string, PodRecord>
  #onChange: () => void = () => undefined

  constructor(source: Source<PodRecord>) {
    this.#source = source
    this.#byName = new Map([...source.objects.values()].map((pod) => [keyOf(pod.namespace, pod.name), pod]))
    this.#subscription = source.subscribe((changes) => {
      for (const { type, object } of changes) {
        const key = keyOf(object.namespace, object.name)
        if (type !== 'removed') this.#byName.set(key, object)
        else if (this.#byName.get(key)?.uid === object.uid) this.#byName.delete(key)
      }
      this.#onChange()
    })
  }

  /** `listener` is called after each change of the set or of its state. */
  onChange(listener: () => void): void {
    this.#onChange = listener
  }

  /** Whether the set has been complete once. */
  get synced(): boolean {
    return this.#source.listedAtMs !== undefined
  }

  get problem(): string | undefined {
    return this.#source.problem
  }

  find(namespace: string, name: string): PodRecord | undefined {
    return this.#byName.get(keyOf(namespace, name))
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
  }
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`
}
