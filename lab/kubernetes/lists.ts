/** Lists in pages, each page cut from the same moment. */
import type { Entry, Store } from './store.ts'
import { resources, type Route, type Resource } from './route.ts'
import { refusal, type Refusal } from './statuses.ts'

interface Snapshot {
  readonly resourceVersion: number
  readonly entries: readonly Entry[]
  /** How many objects the list says it has. */
  readonly announced: number
}

/** What the lists of a server may be made to do wrong. */
export interface ListFlaws {
  /** Lists end after that many objects. Their first page, if it is not the last, announces all. */
  shortenTo: number | undefined
}

const keptSnapshots = 8
const comma = Buffer.from(',')

/** The moments that continue tokens point to. */
export class Lists {
  readonly flaws: ListFlaws = { shortenTo: undefined }
  #snapshots = new Map<number, Snapshot>()
  #lastId = 0

  /** Forgets all continue tokens: they get 410. */
  expire(): void {
    this.#snapshots.clear()
  }

  /** The body of a list, or of one page of it. */
  page(route: Route & { resource: Resource }, store: Store, resourceVersion: number): Buffer | Refusal {
    const token = route.query.get('continue')
    const start = token === null ? this.#begin(route, store, resourceVersion) : this.#resume(token)
    if (start === undefined) return refusal(410, route)
    if (start === 'unreadable') {
      return { ...refusal(400, route), message: 'invalid continue token: continue key is not valid' }
    }
    const { id, offset, snapshot } = start
    const limit = Number(route.query.get('limit') ?? '0')
    const end = limit > 0 ? Math.min(offset + limit, snapshot.entries.length) : snapshot.entries.length
    const left = snapshot.entries.length - end
    if (left === 0) this.#snapshots.delete(id)
    const next = left > 0 ? Buffer.from(JSON.stringify({ id, offset: end })).toString('base64url') : undefined
    const { group, version, kind } = resources[route.resource]
    const head = JSON.stringify({
      kind: `${kind}List`,
      apiVersion: group === '' ? version : `${group}/${version}`,
      metadata: {
        resourceVersion: String(snapshot.resourceVersion),
        ...(next === undefined ? {} : { continue: next, remainingItemCount: snapshot.announced - end }),
      },
    })
    const items = snapshot.entries.slice(offset, end).flatMap((entry) => [comma, entry.render()])
    return Buffer.concat([
      Buffer.from(`${head.slice(0, -1)},"items":[`),
      ...items.slice(1),
      Buffer.from(']}'),
    ])
  }

  #begin(
    { scope }: Route,
    store: Store,
    resourceVersion: number,
  ): { id: number; offset: number; snapshot: Snapshot } {
    const { shortenTo } = this.flaws
    const all = store.list(scope)
    const entries = shortenTo === undefined ? all : all.slice(0, shortenTo)
    const snapshot = { resourceVersion, entries, announced: all.length }
    this.#lastId += 1
    this.#snapshots.set(this.#lastId, snapshot)
    const [oldest] = this.#snapshots.keys()
    if (this.#snapshots.size > keptSnapshots && oldest !== undefined) this.#snapshots.delete(oldest)
    return { id: this.#lastId, offset: 0, snapshot }
  }

  #resume(token: string): { id: number; offset: number; snapshot: Snapshot } | 'unreadable' | undefined {
    try {
      const { id, offset } = JSON.parse(Buffer.from(token, 'base64url').toString()) as {
        id: number
        offset: number
      }
      const snapshot = this.#snapshots.get(id)
      return snapshot === undefined ? undefined : { id, offset, snapshot }
    } catch {
      return 'unreadable'
    }
  }
}
