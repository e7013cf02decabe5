/** Open watches: each is a response that gets a line for every event in its scope. */
import type { ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { resources, type Resource, type Route } from './route.ts'
import { statusBody } from './statuses.ts'
import { seenBy, type Entry, type Scope, type Store, type StoredEvent } from './store.ts'

interface Watch {
  readonly response: ServerResponse
  readonly resource: Resource
  readonly scope: Scope
  readonly bookmarks: boolean
  readonly end: NodeJS.Timeout
}

/** A real server sends a bookmark a minute, and ends a watch after 30 to 60 minutes. */
const longestWatchSeconds = 1_800

export class Watches implements Disposable {
  readonly #open = new Set<Watch>()
  readonly #bookmarks: NodeJS.Timeout

  constructor(bookmarkMs: number, currentVersion: () => number) {
    this.#bookmarks = setInterval(() => {
      for (const { response, resource, bookmarks } of this.#open) {
        if (!bookmarks) continue
        const metadata = { resourceVersion: String(currentVersion()), creationTimestamp: null }
        writeEvent(response, 'BOOKMARK', JSON.stringify({ metadata }), resource)
      }
    }, bookmarkMs)
  }

  get count(): number {
    return this.#open.size
  }

  start(route: Route & { resource: Resource }, store: Store, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const { resource, scope, query } = route
    const from = Number(query.get('resourceVersion') ?? '0')
    const missed = from === 0 ? [] : store.since(from)
    if (missed === undefined) {
      const message = `too old resource version: ${from}`
      const body = statusBody({ status: 410, reason: 'Expired', message })
      response.end(`{"type":"ERROR","object":${body}}\n`)
      return
    }
    if (from === 0)
      for (const entry of store.list(scope)) writeEvent(response, 'ADDED', text(entry), resource)
    for (const event of missed) this.#send(response, resource, scope, event)
    const seconds = Number(query.get('timeoutSeconds') ?? longestWatchSeconds)
    const end = setTimeout(() => response.end(), seconds * 1_000)
    const bookmarks = query.get('allowWatchBookmarks') === 'true'
    const watch: Watch = { response, resource, scope, bookmarks, end }
    this.#open.add(watch)
    response.once('close', () => {
      this.#drop(watch)
    })
  }

  publish(resource: Resource, event: StoredEvent): void {
    for (const watch of this.#open)
      if (watch.resource === resource) this.#send(watch.response, resource, watch.scope, event)
  }

  /** Ends them as the server does when their time is over; with `reset` the connections are cut. */
  close({ reset = false }: { readonly reset?: boolean } = {}): void {
    for (const watch of this.#open) {
      if (reset) cutConnection(watch.response)
      else watch.response.end()
      this.#drop(watch)
    }
  }

  /** They stay open and never get anything again: what a firewall that forgot a connection does. */
  silence(): void {
    for (const watch of this.#open) this.#drop(watch)
  }

  #drop(watch: Watch): void {
    clearTimeout(watch.end)
    this.#open.delete(watch)
  }

  #send(response: ServerResponse, resource: Resource, scope: Scope, event: StoredEvent): void {
    const seen = seenBy(scope, event)
    if (seen === undefined) return
    // A deleted object carries the version of its deletion.
    const body =
      seen.type === 'DELETED'
        ? text(seen.entry).replace(
            `"resourceVersion":"${seen.entry.resourceVersion}"`,
            `"resourceVersion":"${seen.resourceVersion}"`,
          )
        : text(seen.entry)
    writeEvent(response, seen.type, body, resource)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#bookmarks)
    this.close({ reset: true })
  }
}

/** Cuts the connection of a response: with a TCP reset, where Node can send one (not below TLS). */
export function cutConnection({ socket }: ServerResponse): void {
  if (socket instanceof TLSSocket) socket.destroy()
  else socket?.resetAndDestroy()
}

function text(entry: Entry): string {
  return entry.render().toString()
}

function writeEvent(response: ServerResponse, type: string, object: string, resource: Resource): void {
  response.write(`{"type":"${type}","object":${typed(object, resource)}}\n`)
}

/** Puts `kind` and `apiVersion` in front, which list items lack. */
export function typed(object: string, resource: Resource): string {
  const { group, version, kind } = resources[resource]
  const apiVersion = group === '' ? version : `${group}/${version}`
  return `{"kind":"${kind}","apiVersion":"${apiVersion}",${object.slice(1)}`
}
