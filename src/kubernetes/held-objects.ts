import type { ApiMetadata } from './api-objects.ts'
import type { Resource } from './resource.ts'
import type { Change } from './source.ts'

/**
 * The objects that are held, and what lists and watch events do to them. Pure.
 *
 * | what comes | what it does |
 * | --- | --- |
 * | a listed object that a watch event told of since the list began | nothing: the event is newer |
 * | a listed object or event, version as held | nothing |
 * | …, another version | updated, or added if not held |
 * | …, another UID under a held name | the old one is removed, the new one added |
 * | the end of a list | held objects that were neither listed nor told of since it began are removed |
 * | a list that fails | nothing is removed |
 * | a DELETED event of a UID that is held | removed |
 */
export class HeldObjects<T> {
  /** By UID. */
  readonly objects: ReadonlyMap<string, T>
  readonly #resource: Resource<T>
  readonly #objects = new Map<string, T>()
  readonly #versions = new Map<string, string>()
  readonly #uidByName = new Map<string, string>()
  #list: { readonly listed: Set<string>; readonly told: Set<string> } | undefined

  constructor(resource: Resource<T>) {
    this.#resource = resource
    this.objects = this.#objects
  }

  beginList(): void {
    this.#list = { listed: new Set(), told: new Set() }
  }

  /** Takes an object of the list that was begun. @throws Error for what is no such object */
  addListed(object: unknown): Change<T>[] {
    const { listed, told } = this.#openList()
    const { uid = '', resourceVersion = '' } = metadataOf(object)
    if (this.#versions.get(uid) === resourceVersion) {
      // Most of a list that is read again is known: no record is made of it.
      listed.add(uid)
      return []
    }
    const record = this.#resource.project(object)
    listed.add(uid)
    return told.has(uid) ? [] : this.#put(record, resourceVersion)
  }

  /** The list was read to its end. */
  endList(): Change<T>[] {
    const { listed, told } = this.#openList()
    this.#list = undefined
    const gone: string[] = []
    for (const uid of this.#objects.keys()) if (!listed.has(uid) && !told.has(uid)) gone.push(uid)
    return gone.flatMap((uid) => this.#remove(uid))
  }

  /** The list could not be read to its end. */
  abandonList(): void {
    this.#list = undefined
  }

  /** Takes an event of the watch. @throws Error for what is no such object */
  applyEvent(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: unknown): Change<T>[] {
    const { uid = '', resourceVersion = '' } = metadataOf(object)
    const record = this.#resource.project(object)
    this.#list?.told.add(uid)
    return type === 'DELETED' ? this.#remove(uid) : this.#put(record, resourceVersion)
  }

  #openList(): { readonly listed: Set<string>; readonly told: Set<string> } {
    if (this.#list === undefined) throw new Error('No list was begun')
    return this.#list
  }

  #put(record: T, resourceVersion: string): Change<T>[] {
    const uid = this.#resource.uidOf(record)
    const name = this.#resource.nameOf(record)
    const previous = this.#objects.get(uid)
    if (previous !== undefined && this.#versions.get(uid) === resourceVersion) return []
    const namesake = this.#uidByName.get(name)
    const removed = namesake === undefined || namesake === uid ? [] : this.#remove(namesake)
    this.#objects.set(uid, record)
    this.#versions.set(uid, resourceVersion)
    this.#uidByName.set(name, uid)
    const change: Change<T> =
      previous === undefined
        ? { type: 'added', object: record }
        : { type: 'updated', object: record, previous }
    return [...removed, change]
  }

  #remove(uid: string): Change<T>[] {
    const object = this.#objects.get(uid)
    if (object === undefined) return []
    const name = this.#resource.nameOf(object)
    this.#objects.delete(uid)
    this.#versions.delete(uid)
    if (this.#uidByName.get(name) === uid) this.#uidByName.delete(name)
    return [{ type: 'removed', object }]
  }
}

function metadataOf(object: unknown): ApiMetadata {
  return (object as { readonly metadata?: ApiMetadata }).metadata ?? {}
}
