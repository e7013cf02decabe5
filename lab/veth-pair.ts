/** Two network namespaces joined by a pair of interfaces, as two pods of a node are. Needs root and ip(8). */
import { BareNamespaces } from './network-namespace.ts'
import { run } from './process.ts'

/** Of the first and the second namespace. */
const addresses = [
  ['10.9.8.1/24', 'fd00:9:8::1/64'],
  ['10.9.8.2/24', 'fd00:9:8::2/64'],
] as const

export class VethPair implements AsyncDisposable {
  readonly #namespaces: BareNamespaces

  private constructor(namespaces: BareNamespaces) {
    this.#namespaces = namespaces
  }

  static async create(): Promise<VethPair> {
    await using owned = new AsyncDisposableStack()
    const namespaces = owned.use(await BareNamespaces.create(2))
    const [first = 0, second = 0] = namespaces.pids
    const ends = ['name', 'eth0', 'netns', String(first), 'type', 'veth', 'peer', 'name', 'eth0']
    await run('ip', ['link', 'add', ...ends, 'netns', String(second)])
    for (const [index, pid] of [first, second].entries()) {
      const inside = (...args: readonly string[]): Promise<string> =>
        run('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', ...args])
      for (const address of addresses[index] ?? [])
        await inside('address', 'add', address, 'dev', 'eth0', ...(address.includes(':') ? ['nodad'] : []))
      await inside('link', 'set', 'eth0', 'up')
    }
    owned.move()
    return new VethPair(namespaces)
  }

  /** A process in each namespace. */
  get pids(): readonly number[] {
    return this.#namespaces.pids
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespaces[Symbol.asyncDispose]()
  }
}
