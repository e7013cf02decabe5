import type { Cgroupfs } from './cgroupfs.ts'
import type { Container } from './core/containers.ts'

/** How long an id that belongs to no container is not looked for again, in milliseconds. */
const forgetAfterMs = 60_000

/**
 * Whose the cgroups are that containers make for themselves, as systemd and Docker do in a container: sockets carry the id
 * of the cgroup in which they were made, not of the container's. The tree is looked through only when an id comes up that
 * is not known, so never on a node where no container does that and no service starts.
 */
export class NestedCgroups {
  readonly #cgroupfs: Cgroupfs
  /** The id of the container's cgroup by that of one below it. */
  #containers = new Map<number, number>()
  /** When ids that belong to no container (services of the node) were looked for. */
  readonly #others = new Map<number, number>()

  constructor(cgroupfs: Cgroupfs) {
    this.#cgroupfs = cgroupfs
  }

  /** Finds out whose the cgroups with these ids are. */
  learn(containers: readonly Container[], ids: Iterable<number>): void {
    const now = performance.now()
    const known = new Set([0, ...containers.map(({ cgroupId }) => cgroupId)])
    for (const [id, at] of this.#others) if (now - at > forgetAfterMs) this.#others.delete(id)
    const unknown = [...ids].filter(
      (id) => !known.has(id) && !this.#containers.has(id) && !this.#others.has(id),
    )
    if (unknown.length === 0) return
    // Those that are gone are kept while their container runs: their last sockets may still be there.
    const found = new Map([...this.#containers].filter(([, container]) => known.has(container)))
    for (const { cgroups, cgroupId } of containers)
      if (cgroupId !== 0) for (const id of this.#cgroupfs.idsBelow(cgroups)) found.set(id, cgroupId)
    this.#containers = found
    for (const id of unknown) if (!found.has(id)) this.#others.set(id, now)
  }

  /** The id of the container's cgroup that this one is below; the same id when there is none. */
  readonly resolve = (id: number): number => this.#containers.get(id) ?? id
}
