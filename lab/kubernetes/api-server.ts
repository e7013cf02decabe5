/** The HTTP side of the simulated API server: who may ask, what goes wrong, who answers. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { Faults, type Fault, type Verb } from './faults.ts'
import { writeLease } from './leases.ts'
import { Lists } from './lists.ts'
import { Reviews } from './reviews.ts'
import { parseRoute, resources, type Resource, type Route } from './route.ts'
import { refusal, statusBody, type Refusal } from './statuses.ts'
import { Store, VersionCounter } from './store.ts'
import { cutConnection, typed, Watches } from './watches.ts'

/** A request as it arrived and how it was answered; status 0: not at all. */
export interface ApiRequest {
  readonly verb: Verb | 'other'
  readonly resource: string
  readonly url: string
  readonly status: number
  readonly atMs: number
}

/** How many requests are remembered. */
const keptRequests = 20_000

export class ApiServer implements Disposable {
  readonly versions = new VersionCounter()
  readonly stores: Readonly<Record<Resource, Store>>
  readonly faults = new Faults()
  readonly lists = new Lists()
  readonly reviews = new Reviews()
  readonly watches: Watches
  readonly requests: ApiRequest[] = []
  /** Requests are accepted and not answered. */
  frozen = false
  /** The bearer token that is accepted. */
  token: string

  constructor(token: string, bookmarkMs: number) {
    this.token = token
    this.watches = new Watches(bookmarkMs, () => this.versions.current)
    const names = Object.keys(resources) as Resource[]
    this.stores = Object.fromEntries(
      names.map((name) => {
        const store = new Store(this.versions)
        store.onEvent((event) => {
          this.watches.publish(name, event)
        })
        return [name, store]
      }),
    ) as Record<Resource, Store>
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.once('error', () => undefined)
    const url = request.url ?? '/'
    let route: (Route & { resource: Resource }) | undefined
    let unreadable: string | undefined
    try {
      route = parseRoute(request.method ?? '', url)
    } catch (error) {
      unreadable = error instanceof Error ? error.message : String(error)
    }
    const fault = route === undefined ? undefined : this.faults.take(route)
    const remember = (status: number): void => {
      const { verb = 'other', resource = '' } = route ?? {}
      this.requests.push({ verb, resource, url, status, atMs: performance.now() })
      if (this.requests.length > keptRequests) this.requests.splice(0, keptRequests / 2)
    }
    if (this.frozen || fault?.kind === 'hang') {
      remember(0)
      return
    }
    const subject = { verb: 'get', resource: '', group: '', namespace: undefined, name: undefined, ...route }
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      remember(401)
      send(response, refusal(401, subject))
      return
    }
    if (fault?.kind === 'status') {
      remember(fault.status)
      sendFault(response, fault, refusal(fault.status, subject))
      return
    }
    const review =
      request.method === 'POST' && route === undefined
        ? this.reviews.answer(url, await text(request))
        : undefined
    if (review !== undefined) {
      remember(201)
      send(response, review, { created: true })
      return
    }
    if (route === undefined) {
      remember(unreadable === undefined ? 404 : 400)
      const refused = refusal(unreadable === undefined ? 404 : 400, subject)
      send(response, {
        ...refused,
        message: unreadable ?? 'the server could not find the requested resource',
      })
      return
    }
    if (route.verb === 'watch') {
      remember(200)
      this.watches.start(route, this.stores[route.resource], response)
      return
    }
    const body = route.verb === 'create' || route.verb === 'update' ? await text(request) : ''
    const answer = this.#answer(route, body)
    remember(isRefusal(answer) ? answer.status : 200)
    send(response, answer, { cut: fault?.kind === 'cut', created: route.verb === 'create' })
  }

  #answer(route: Route & { resource: Resource }, body: string): string | Buffer | Refusal {
    const store = this.stores[route.resource]
    if (route.verb === 'list') return this.lists.page(route, store, this.versions.current)
    if (route.verb === 'get') {
      const entry = store.get(route.namespace, route.name ?? '')
      return entry === undefined ? refusal(404, route) : typed(entry.render().toString(), route.resource)
    }
    if (route.resource !== 'leases') return refusal(403, route)
    const written = writeLease(route, store, body)
    return 'render' in written ? typed(written.render().toString(), route.resource) : written
  }

  [Symbol.dispose](): void {
    this.watches[Symbol.dispose]()
  }
}

function sendFault(response: ServerResponse, fault: Extract<Fault, { kind: 'status' }>, body: Refusal): void {
  if (fault.retryAfterSeconds !== undefined)
    response.setHeader('retry-after', String(fault.retryAfterSeconds))
  send(response, body)
}

function isRefusal(answer: string | Buffer | Refusal): answer is Refusal {
  return typeof answer !== 'string' && 'status' in answer
}

function send(
  response: ServerResponse,
  answer: string | Buffer | Refusal,
  { cut = false, created = false }: { readonly cut?: boolean; readonly created?: boolean } = {},
): void {
  const refused = isRefusal(answer)
  const said = refused ? statusBody(answer) : answer
  const body = typeof said === 'string' ? Buffer.from(said) : said
  const status = refused ? answer.status : created ? 201 : 200
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  if (!cut) {
    response.end(body)
    return
  }
  response.write(body.subarray(0, body.length / 2), () => {
    cutConnection(response)
  })
}
