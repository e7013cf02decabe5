/**
 * The only place that uses http-proxy, in the one way that is safe. What it would do by itself, and what is done here:
 *
 * - forwards the client's headers and path, credentials included: both are replaced before it sees them
 * - dies of a `Trailer` header and lets a request body smuggle: no such header and no body gets that far
 * - closes both connections without an agent: always given one
 * - leaves the upstream request running when the client goes: ended with the client's response
 * - leaves the client hanging when the target dies in mid-body: it pipes nothing, {@link deliver} does
 * - has no total deadline: here is one timer for all of an exchange, retry included
 * - takes any answer: only 200 is passed on, a redirect never
 */
import type { Agent, ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { Stream } from 'node:stream'
import httpProxy from 'http-proxy'
import { bracketed } from '../common/ip.ts'
import { errorCode } from '../common/errors.ts'
import type { Agents } from './agents.ts'
import type { Body } from './body.ts'
import type { Target } from './core/access.ts'
import { BufferPool } from './core/buffer-pool.ts'
import { forwardedRequestHeaders, forwardedResponseHeaders } from './core/headers.ts'
import { Refusal } from './core/refusal.ts'
import { failure, refusedAnswer } from './core/failure.ts'
import { deliver, type Delivery } from './deliver.ts'
import { KubeletConnection } from './kubelet-connection.ts'

export interface ExchangeOptions {
  readonly target: Target
  readonly agents: Agents
  /** The value of the Authorization header for the target. */
  readonly authorization: string | undefined
  /** For everything, from now until the client has the last byte. */
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** How an exchange ended after its head went to the client; what ends it before is a {@link Refusal}. */
export interface ExchangeResult {
  readonly end: Delivery['end'] | 'timeout'
  readonly bytes: number
}

/** One call of http-proxy: settled by the target's answer, or by the first thing that makes one impossible. */
class Attempt {
  readonly #answer = Promise.withResolvers<{ answer: IncomingMessage; body: Body }>()
  #request: ClientRequest | undefined
  #over = false

  get answer(): Promise<{ answer: IncomingMessage; body: Body }> {
    return this.#answer.promise
  }

  /** Whether the attempt used a connection that had served another. */
  get reused(): boolean {
    return this.#request?.reusedSocket === true
  }

  started(request: ClientRequest): void {
    this.#request = request
    if (this.#over) request.destroy()
    else KubeletConnection.expectAnswer(request.socket)
  }

  answered(answer: IncomingMessage): void {
    this.#answer.resolve({ answer, body: KubeletConnection.bodyOf(answer) })
  }

  /** Ends the exchange with the target, whatever state it is in. */
  abort(error: Error): void {
    this.#over = true
    this.#answer.reject(error)
    this.#request?.destroy()
  }
}

/** http-proxy pipes this in place of the client's request: there is no body. */
class NoBody extends Stream {
  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    destination.end()
    return destination
  }
}
const noBody = new NoBody()

const clientGone = new Error('the client closed its connection')
const timedOut = new Error('the deadline passed')

/** Unused buffers that are kept, of 64 kB each. */
const unusedBuffers = 128

export class Upstream {
  readonly #proxy = httpProxy.createProxyServer({ selfHandleResponse: true })
  readonly #attempts = new WeakMap<IncomingMessage, Attempt>()
  readonly #buffers = new BufferPool(unusedBuffers)

  constructor() {
    this.#proxy.on('proxyReq', (proxyRequest, request) => {
      this.#attempts.get(request)?.started(proxyRequest)
    })
    this.#proxy.on('proxyRes', (answer, request) => {
      this.#attempts.get(request)?.answered(answer)
    })
  }

  /**
   * Asks the target and passes its answer on.
   *
   * @param request a GET without a body, of which nothing is used but the headers that describe what it accepts; it is
   * rewritten into the request that goes out
   * @throws Refusal when the client can still be told: nothing has been sent to it
   */
  async exchange(
    request: IncomingMessage,
    response: ServerResponse,
    options: ExchangeOptions,
  ): Promise<ExchangeResult> {
    const { target, agents, timeoutMs, maxBytes } = options
    let attempt = new Attempt()
    const state: { late: boolean } = { late: false }
    const onClose = (): void => {
      attempt.abort(clientGone)
    }
    const timer = setTimeout(() => {
      state.late = true
      attempt.abort(timedOut)
      if (response.headersSent) response.destroy()
    }, timeoutMs)
    response.once('close', onClose)
    try {
      request.url = target.path
      request.headers = forwardedRequestHeaders(request.headers)
      let asked: { answer: IncomingMessage; body: Body }
      try {
        asked = await this.#ask(attempt, request, response, options, agents.kept)
      } catch (error) {
        if (state.late || response.destroyed || !attempt.reused || !isReset(error)) throw error
        attempt = new Attempt()
        asked = await this.#ask(attempt, request, response, options, agents.fresh)
      }
      const { answer, body } = asked
      const refused = refusedAnswer(target, answer, maxBytes)
      if (refused !== undefined) throw refused
      response.writeHead(200, {
        ...forwardedResponseHeaders(answer.headers),
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      })
      response.off('close', onClose)
      const delivery = await deliver(body, response, { maxBytes, buffers: this.#buffers })
      return state.late ? { ...delivery, end: 'timeout' } : delivery
    } catch (error) {
      attempt.abort(clientGone)
      if (state.late)
        throw new Refusal('upstream_timeout', `${target.label} did not answer in ${timeoutMs} ms`)
      if (response.destroyed) return { end: 'client_gone', bytes: 0 }
      throw error instanceof Refusal ? error : failure(target, error)
    } finally {
      clearTimeout(timer)
      response.off('close', onClose)
    }
  }

  #ask(
    attempt: Attempt,
    request: IncomingMessage,
    response: ServerResponse,
    { target, authorization }: ExchangeOptions,
    agent: Agent,
  ): Promise<{ answer: IncomingMessage; body: Body }> {
    this.#attempts.set(request, attempt)
    try {
      this.#proxy.web(
        request,
        response,
        {
          // Read already: http-proxy would parse a text for each request.
          target: {
            protocol: `${target.scheme}:`,
            hostname: target.address,
            host: `${bracketed(target.address)}:${target.port}`,
            port: target.port,
          },
          prependPath: false,
          toProxy: true,
          changeOrigin: true,
          agent,
          // An address is not allowed as a server name (RFC 6066); without one the address is verified alone.
          ssl: { servername: isIP(target.certificateName) === 0 ? target.certificateName : '' },
          headers: authorization === undefined ? {} : { authorization },
          buffer: noBody,
        },
        (error) => {
          attempt.abort(error)
        },
      )
    } catch (error) {
      attempt.abort(error as Error)
    }
    return attempt.answer
  }
}

function isReset(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE'].includes(errorCode(error) ?? '')
}
