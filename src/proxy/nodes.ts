import { canonicalIp } from '../common/ip.ts'
import type { NodeRecord } from '../kubernetes/records.ts'
import type { Source } from '../kubernetes/source.ts'

/** The known nodes, by address. What a source last knew stays while the API server is away. */
export class Nodes implements Disposable {
  readonly #source: Source<NodeRecord>
  readonly #subscription: Disposable
  #onChange: (removed: readonly string[]) => void = () => undefined
  #byAddress: ReadonlyMap<string, NodeRecord> | undefined
  #names: ReadonlySet<string> | undefined

  constructor(source: Source<NodeRecord>) {
    this.#source = source
    this.#subscription = source.subscribe((changes) => {
      this.#byAddress = undefined
      this.#names = undefined
      const removed = changes.filter(({ type }) => type === 'removed').map(({ object }) => object.name)
      this.#onChange(removed.filter((name) => !this.has(name)))
    })
  }

  /** `listener` is called after each change of the set or of its state, with the names of nodes that are gone. */
  onChange(listener: (removed: readonly string[]) => void): void {
    this.#onChange = listener
  }

  /** Whether the set has been complete once. */
  get synced(): boolean {
    return this.#source.listedAtMs !== undefined
  }

  get problem(): string | undefined {
    return this.#source.problem
  }

  get count(): number {
    return this.#source.objects.size
  }

  /** By name. */
  all(): NodeRecord[] {
    return [...this.#source.objects.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** @param address canonical */
  find(address: string): NodeRecord | undefined {
    this.#byAddress ??= new Map(
      [...this.#source.objects.values()]
        // Of two nodes with one address the ready one is there, the other is a leftover.
        .sort((a, b) => Number(a.ready) - Number(b.ready))
        .flatMap((node) => node.internalIps.map((ip) => [canonicalIp(ip) ?? ip, node])),
    )
    return this.#byAddress.get(address)
  }

  /** Whether a node of this name is known. */
  has(name: string): boolean {
    this.#names ??= new Set([...this.#source.objects.values()].map((node) => node.name))
    return this.#names.has(name)
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
  }
}
