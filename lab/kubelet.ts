/** A kubelet as a scraper sees it: HTTPS, a bearer token, and the recorded cAdvisor page. */
import { readFile } from 'node:fs/promises'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import type { Certificate } from './certificates.ts'

/**
 * What the kubelet does with a scrape that carries the right token:
 * - `answer`: the page
 * - `drip`: the page, a kilobyte every 100 ms
 * - `die`: half of the page, then the connection is reset
 * - `redirect`: 302 to /elsewhere on the same server
 * - `unauthorized`, `forbidden`: 401 and 403 as a kubelet words them
 * - `hang`: never anything
 * - `reset_reused`: the page, but a connection that has served a request is reset at the next
 */
export type KubeletBehaviour =
  'answer' | 'drip' | 'die' | 'redirect' | 'unauthorized' | 'forbidden' | 'hang' | 'reset_reused'

export interface KubeletOptions {
  /** @default 127.0.0.1 */
  readonly address?: string
  /** 0: a free one. @default 0 */
  readonly port?: number
  /** The bearer token that it accepts. */
  readonly token: string
  readonly certificate: Certificate
  /** Further pages by path, beside /metrics/cadvisor. */
  readonly pages?: Readonly<Record<string, string>>
}

/** A request as it arrived, refused ones included. */
export interface KubeletRequest {
  readonly method: string
  /** With the query. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

const recorded = new URL('../test/fixtures/kubelet/metrics-cadvisor-1.20.txt', import.meta.url)
const dripBytes = 1_024
const dripMs = 100

export class SimulatedKubelet implements AsyncDisposable {
  /** May be changed at any time, and again for requests to come. */
  behaviour: KubeletBehaviour = 'answer'
  /** May be changed: a rotated token. */
  token: string
  readonly requests: KubeletRequest[] = []
  /** Connections accepted so far. */
  accepted = 0
  /** Connections that are open, by how many requests each has brought. */
  readonly open = new Map<Socket, number>()
  /** Requests that are being answered, and whose connection is still there. */
  running = 0
  readonly #server: Server
  readonly #pages: ReadonlyMap<string, Buffer>
  readonly #timers = new Set<NodeJS.Timeout>()

  private constructor(server: Server, token: string, pages: ReadonlyMap<string, Buffer>) {
    this.#server = server
    this.#pages = pages
    this.token = token
    server.on('secureConnection', (socket: Socket) => {
      this.accepted += 1
      this.open.set(socket, 0)
      socket.once('close', () => this.open.delete(socket))
    })
    server.on('request', (request, response) => {
      this.#answer(request, response)
    })
  }

  static async start({
    address = '127.0.0.1',
    port = 0,
    token,
    certificate,
    pages = {},
  }: KubeletOptions): Promise<SimulatedKubelet> {
    const server = createServer({ cert: certificate.certificate, key: certificate.key })
    const all = new Map(Object.entries(pages).map(([path, text]) => [path, Buffer.from(text)]))
    all.set('/metrics/cadvisor', await readFile(recorded))
    const kubelet = new SimulatedKubelet(server, token, all)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, address, resolve)
    })
    return kubelet
  }

  get address(): string {
    return (this.#server.address() as AddressInfo).address
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The Authorization header of each request, in order. */
  get authorizations(): (string | undefined)[] {
    return this.requests.map(({ headers }) => headers.authorization)
  }

  /** Shows another certificate to whoever connects from now on, and closes the connections that are idle. */
  renew({ certificate, key }: Certificate): void {
    this.#server.setSecureContext({ cert: certificate, key })
    this.closeIdle()
  }

  /** Closes the connections that are idle. */
  closeIdle(): void {
    this.#server.closeIdleConnections()
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.running += 1
    response.once('close', () => (this.running -= 1))
    const url = request.url ?? '/'
    const served = this.open.get(request.socket) ?? 0
    this.open.set(request.socket, served + 1)
    if (this.behaviour === 'reset_reused' && served > 0) {
      request.socket.destroy()
      return
    }
    this.requests.push({ method: request.method ?? '', url, headers: request.headers })
    if (request.headers.authorization !== `Bearer ${this.token}` || this.behaviour === 'unauthorized') {
      sendText(response, 401, 'Unauthorized')
      return
    }
    if (this.behaviour === 'hang') return
    if (this.behaviour === 'forbidden') {
      const user = 'system:serviceaccount:podsonar:proxy'
      sendText(response, 403, `Forbidden (user=${user}, verb=get, resource=nodes, subresource=metrics)`)
      return
    }
    if (this.behaviour === 'redirect') {
      response.writeHead(302, { location: '/elsewhere' }).end()
      return
    }
    const page = this.#pages.get(url.split('?', 1)[0] ?? '')
    if (page === undefined) sendText(response, 404, '404 page not found\n')
    else this.#sendPage(request, response, page)
  }

  #sendPage(request: IncomingMessage, response: ServerResponse, page: Buffer): void {
    const gzip = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
    const body = gzip ? gzipSync(page) : page
    response.writeHead(200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      ...(gzip ? { 'content-encoding': 'gzip' } : {}),
    })
    if (request.method === 'HEAD') response.end()
    else if (this.behaviour === 'drip') this.#drip(response, body, 0)
    else if (this.behaviour === 'die') {
      response.write(body.subarray(0, body.length / 2), () => {
        request.socket.destroy()
      })
    } else response.end(body)
  }

  #drip(response: ServerResponse, body: Buffer, from: number): void {
    if (response.destroyed) return
    if (from >= body.length) {
      response.end()
      return
    }
    response.write(body.subarray(from, from + dripBytes))
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#drip(response, body, from + dripBytes)
    }, dripMs)
    this.#timers.add(timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text)
}
