import type { ServerResponse } from 'node:http'
import { sendJson, sendText, type Handler } from '../../common/web/reply.ts'
import type { DirectoryNode } from '../core/directory-node.ts'
import { agentSelf, catalogEntry, healthEntry } from './embedded-json.ts'
import { BadQuery, parseQuery, type CatalogQuery } from './embedded-query.ts'
import type { EmbeddedStore, Instance, Topic } from './embedded-store.ts'
import { sendJsonList } from '../../common/web/json-list.ts'

export interface EmbeddedRoutesOptions {
  readonly store: EmbeddedStore
  readonly node: DirectoryNode
  /** Whether all services are there: an incomplete catalog would make consumers drop targets. */
  readonly complete: () => boolean
  /** Aborted: who waits is answered. */
  readonly signal: AbortSignal
}

/** The entry of one instance in an answer. */
type EntryMaker = (instance: Instance, node: DirectoryNode) => unknown

/** The endpoints of Consul's HTTP API that consul_sd of Prometheus and VictoriaMetrics reads. */
export function embeddedHandler(options: EmbeddedRoutesOptions): Handler {
  const { node, complete } = options
  return async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://catalog')
    if (request.method !== 'GET') {
      response.setHeader('allow', 'GET')
      sendPlain(response, 405, `method ${request.method ?? ''} not allowed`)
    } else if (pathname === '/v1/agent/self') sendJson(response, 200, agentSelf(node))
    else {
      const wanted = parsePath(pathname)
      if (wanted === undefined) {
        sendPlain(response, 404, `The embedded catalog has no ${pathname}: it answers what consul_sd reads`)
        return
      }
      // What Consul says while it cannot know either: consumers keep the targets that they have.
      if (!complete()) sendPlain(response, 500, 'No cluster leader')
      else await answer(response, wanted, searchParams, options)
    }
  }
}

interface Wanted {
  readonly topic: Topic
  readonly entry: EntryMaker
}

function parsePath(pathname: string): Wanted | undefined {
  if (pathname === '/v1/catalog/services') return { topic: 'names', entry: catalogEntry }
  const [, kind, name] = /^\/v1\/(health|catalog)\/service\/([^/]+)$/.exec(pathname) ?? []
  if (name === undefined) return undefined
  try {
    return {
      topic: { service: decodeURIComponent(name) },
      entry: kind === 'health' ? healthEntry : catalogEntry,
    }
  } catch {
    return undefined
  }
}

async function answer(
  response: ServerResponse,
  { topic, entry }: Wanted,
  parameters: URLSearchParams,
  { store, node, signal }: EmbeddedRoutesOptions,
): Promise<void> {
  let query: CatalogQuery
  try {
    query = parseQuery(parameters)
  } catch (error) {
    if (!(error instanceof BadQuery)) throw error
    sendPlain(response, 400, error.message)
    return
  }
  if (query.datacenter !== undefined && query.datacenter !== node.datacenter) {
    sendPlain(response, 500, 'No path to datacenter')
    return
  }
  if (query.index !== undefined) {
    const gone = new AbortController()
    response.once('close', () => {
      gone.abort()
    })
    await store.waitForChange(topic, query.index, query.waitMs, AbortSignal.any([signal, gone.signal]))
    if (gone.signal.aborted) return
  }
  response.setHeader('X-Consul-Effective-Consistency', 'leader')
  response.setHeader('X-Consul-Index', String(store.indexOf(topic)))
  response.setHeader('X-Consul-Knownleader', 'true')
  response.setHeader('X-Consul-Lastcontact', '0')
  const onNode = query.nodeMeta.every((pair) => hasMeta(node, pair))
  if (topic === 'names') sendJson(response, 200, onNode ? Object.fromEntries(store.names()) : {})
  else {
    const instances = onNode ? store.instances(topic.service, query.tags) : []
    await sendJsonList(response, instances, (instance) => entry(instance, node))
  }
}

function hasMeta({ meta }: DirectoryNode, pair: string): boolean {
  const colon = pair.indexOf(':')
  return meta[pair.slice(0, colon)] === pair.slice(colon + 1)
}

function sendPlain(response: ServerResponse, status: number, message: string): void {
  sendText(response, status, 'text/plain; charset=utf-8', message)
}
