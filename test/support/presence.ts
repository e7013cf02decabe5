/** Watches that services stay in Consul while things go wrong. */
import type { Consul } from '../../lab/consul.ts'
import { pause } from '../../src/common/lifecycle.ts'

/** Looks at the catalog again and again, and remembers which of `ids` were ever missing. */
export class PresenceWatch implements AsyncDisposable {
  readonly missing = new Set<string>()
  /** How often Consul answered. */
  looks = 0
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>

  /** @param read the services by ID; what it throws counts as no answer */
  constructor(ids: readonly string[], read: () => Promise<ReadonlyMap<string, unknown>>) {
    this.#loop = this.#run(ids, read)
  }

  async #run(ids: readonly string[], read: () => Promise<ReadonlyMap<string, unknown>>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const found = await read().catch(() => undefined)
      if (found !== undefined) {
        this.looks += 1
        for (const id of ids) if (!found.has(id)) this.missing.add(id)
      }
      await pause(100, this.#stop.signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#loop
  }
}

/** The IDs that a registrar should have, of all pods and nodes of a small cluster. */
export function idsOf(
  pods: readonly { readonly namespace: string; readonly name: string }[],
  nodes: readonly { readonly internalIps: readonly string[] }[],
): string[] {
  return [
    ...pods.map(({ namespace, name }) => `pod--${namespace}--${name}`),
    ...nodes.map(({ internalIps: [ip = ''] }) => `node--${ip}`),
  ].sort()
}

/** The IDs of the services that a reader finds, sorted. */
export async function foundIds(
  read: (consul: Consul) => Promise<ReadonlyMap<string, unknown>>,
  consul: Consul,
): Promise<string[]> {
  return [...(await read(consul)).keys()].sort()
}
