/**
 * Everything that Consul should hold, kept up to date object by object. Several objects may ask for the same ID (the pod `c` of
 * the namespace `a--b` and the pod `b--c` of `a`): one of them gets it, always the same, and the others are told.
 */
import type { Desired } from './desired.ts'
import type { ServiceRecord } from './service.ts'

/** Something that should be registered but is not. */
export interface Skipped {
  /** `default/web-0`, or a node's name. */
  readonly object: string
  readonly reason: string
  readonly detail: string
}

interface Entry {
  readonly object: string
  readonly desired: Desired
}

export class DesiredSet {
  /** What each object asks for, by UID. */
  readonly #entries = new Map<string, Entry>()
  readonly #services = new Map<string, ServiceRecord>()
  /** UIDs by service ID, only where several objects ask for it. */
  readonly #contested = new Map<string, Set<string>>()
  /** UID by service ID. */
  readonly #owner = new Map<string, string>()
  #droppedMeta = 0

  /** The service that is wanted under an ID. */
  get(id: string): ServiceRecord | undefined {
    return this.#services.get(id)
  }

  /** By ID. */
  get services(): ReadonlyMap<string, ServiceRecord> {
    return this.#services
  }

  /** How many metadata pairs Consul's limits left out, now. */
  get droppedMeta(): number {
    return this.#droppedMeta
  }

  /**
   * Replaces what an object asks for.
   *
   * @param object its name, for people
   * @returns the IDs whose wanted service may have changed
   */
  set(uid: string, object: string, desired: Desired): string[] {
    const touched = this.#forget(uid)
    if (desired.services.length > 0 || desired.skipped !== undefined || desired.notes.length > 0)
      this.#entries.set(uid, { object, desired })
    this.#droppedMeta += desired.droppedMeta
    for (const { id } of desired.services) {
      if (!touched.includes(id)) touched.push(id)
      this.#claim(id, uid)
    }
    for (const id of touched) this.#elect(id)
    return touched
  }

  /** Takes an object away; gives the IDs whose wanted service may have changed. */
  delete(uid: string): string[] {
    const touched = this.#forget(uid)
    for (const id of touched) this.#elect(id)
    return touched
  }

  /** Why an object is skipped; undefined: it is not. */
  skippedReason(uid: string): string | undefined {
    return this.#entries.get(uid)?.desired.skipped?.reason
  }

  /** What is not registered, and why: skipped objects and those that lost their ID to another. */
  *skipped(): Generator<Skipped> {
    for (const { object, desired } of this.#entries.values()) {
      if (desired.skipped !== undefined) yield { object, ...pick(desired.skipped) }
    }
    for (const [id, uids] of this.#contested) {
      for (const uid of uids) {
        const object = this.#entries.get(uid)?.object ?? uid
        const winner = this.#entries.get(this.#owner.get(id) ?? '')?.object
        if (object !== winner && winner !== undefined)
          yield { object, reason: 'id_conflict', detail: `${winner} has the same service ID ${id}` }
      }
    }
  }

  /** What was put right in annotations, for people. */
  *notes(): Generator<{ readonly object: string; readonly note: string }> {
    for (const { object, desired } of this.#entries.values()) {
      for (const note of desired.notes) yield { object, note }
    }
  }

  #forget(uid: string): string[] {
    const entry = this.#entries.get(uid)
    if (entry === undefined) return []
    this.#entries.delete(uid)
    this.#droppedMeta -= entry.desired.droppedMeta
    return entry.desired.services.map(({ id }) => {
      const rivals = this.#contested.get(id)
      rivals?.delete(uid)
      if (this.#owner.get(id) === uid) this.#owner.delete(id)
      return id
    })
  }

  #claim(id: string, uid: string): void {
    const owner = this.#owner.get(id)
    const rivals = this.#contested.get(id)
    if (rivals !== undefined) rivals.add(uid)
    else if (owner !== undefined && owner !== uid) this.#contested.set(id, new Set([owner, uid]))
    else this.#owner.set(id, uid)
  }

  /** Settles which object has an ID: the first by name, so that a restart decides the same. */
  #elect(id: string): void {
    const rivals = this.#contested.get(id)
    if (rivals !== undefined) {
      const [winner] = [...rivals].sort((a, b) => (this.#name(a) < this.#name(b) ? -1 : 1))
      if (winner === undefined) this.#owner.delete(id)
      else this.#owner.set(id, winner)
      if (rivals.size < 2) this.#contested.delete(id)
    }
    const owner = this.#owner.get(id)
    const service = this.#entries.get(owner ?? '')?.desired.services.find((one) => one.id === id)
    if (service === undefined) this.#services.delete(id)
    else this.#services.set(id, service)
  }

  #name(uid: string): string {
    return this.#entries.get(uid)?.object ?? ''
  }
}

function pick({ reason, detail }: NonNullable<Desired['skipped']>): { reason: string; detail: string } {
  return { reason, detail }
}
