import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { finished } from 'node:stream/promises'
import Consul from 'consul'
import { Agent, request as httpRequest } from '../../common/node-http.ts'
import { freeBuffer } from '../../common/free-buffer.ts'
import { dropIdleSockets } from '../../common/idle-sockets.ts'
import { TimeSlice } from '../../common/time-slice.ts'
import { ConsulError, connectionError, statusError, type Attempt } from './errors.ts'

/** TLS towards Consul. */
export interface ConsulTls {
  /** PEM certificates of the authorities to trust; undefined: those of Node.js. */
  readonly ca?: readonly string[]
  /** PEM, for client authentication. */
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  /** False: any certificate will do. */
  readonly rejectUnauthorized: boolean
}

/** Where Consul is and how to speak to it. */
export interface ConsulConnection {
  /** `http://127.0.0.1:8500`, without a path. */
  readonly url: URL
  /** The ACL token to use now. */
  readonly token: () => Promise<string | undefined>
  /** `user:password`. */
  readonly basicAuth?: string | undefined
  readonly tls: ConsulTls
  readonly datacenter?: string | undefined
  /** Called right before each write is sent: the last chance to abort its signal. */
  readonly beforeCall?: () => unknown
  /** Consul Enterprise. */
  readonly namespace?: string | undefined
  readonly partition?: string | undefined
}

export interface CallOptions {
  /** What is tried, for messages: `read the services of the agent`. */
  readonly act: string
  /** The ACL rule that it takes. */
  readonly rule: string
  readonly signal: AbortSignal
  readonly query?: Readonly<Record<string, string>>
  /** Answers with these statuses are answers, not errors. @default [200] */
  readonly accept?: readonly number[]
  /** @default 10000 */
  readonly timeoutMs?: number
}

export interface Answer<T> {
  readonly status: number
  readonly body: T
  /** X-Consul-Index; undefined where the endpoint has none. */
  readonly index: string | undefined
}

/** What npm consul's calls take besides their own options. `ctx` cancels, `timeout` is in milliseconds. */
interface CommonOptions {
  readonly token?: string
  readonly timeout: number
  readonly ctx: EventEmitter
}

const callTimeoutMs = 10_000
/** A streamed answer may take long, but not stand still for longer than this. */
const streamSilenceMs = 30_000
/** Far below the 200 connections that Consul allows a client. */
const maxConnections = 16

/**
 * The way to Consul's HTTP API: npm consul for the agent's calls, and beside it, over the same connections, a reader that
 * streams and transactions.
 * npm consul has no time-out of its own and cannot be stopped, so every call here gets both.
 */
export class ConsulHttp implements Disposable {
  readonly client: Consul
  readonly url: URL
  readonly #connection: ConsulConnection
  readonly #agent: Agent
  readonly #headers: Readonly<Record<string, string>>

  constructor(connection: ConsulConnection) {
    this.#connection = connection
    this.url = connection.url
    const { basicAuth, namespace, partition, tls, datacenter } = connection
    this.#agent =
      connection.url.protocol === 'https:'
        ? new HttpsAgent({ ...tls, ca: tls.ca && [...tls.ca], keepAlive: true, maxSockets: maxConnections })
        : new Agent({ keepAlive: true, maxSockets: maxConnections })
    // Namespace and partition go as headers: npm consul drops the parameter.
    this.#headers = {
      ...(basicAuth === undefined
        ? {}
        : { authorization: `Basic ${Buffer.from(basicAuth).toString('base64')}` }),
      ...(namespace === undefined ? {} : { 'x-consul-namespace': namespace }),
      ...(partition === undefined ? {} : { 'x-consul-partition': partition }),
    }
    const options = {
      baseUrl: `${connection.url.origin}/v1`,
      agent: this.#agent,
      headers: this.#headers,
      ...(datacenter === undefined ? {} : { defaults: { dc: datacenter } }),
    }
    this.client = new Consul(options)
  }

  /** Runs one call of npm consul. @throws ConsulError */
  async call<T>(options: CallOptions, run: (common: CommonOptions) => Promise<T>): Promise<T> {
    const { signal, timeoutMs = callTimeoutMs } = options
    const attempt: Attempt = { ...options, url: this.url }
    const ctx = new EventEmitter()
    const cancel = (): void => void ctx.emit('cancel')
    const token = await this.#connection.token()
    this.#connection.beforeCall?.()
    if (signal.aborted) throw connectionError(attempt, signal.reason)
    signal.addEventListener('abort', cancel, { once: true })
    try {
      return await run({ ctx, timeout: timeoutMs, ...(token === undefined ? {} : { token }) })
    } catch (error) {
      const response = (error as { response?: { statusCode: number; body?: unknown } }).response
      if (response === undefined) {
        dropIdleSockets(this.#agent)
        throw connectionError(attempt, error)
      }
      throw statusError(attempt, response.statusCode, bodyText(response.body))
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }

  /**
   * Applies operations of /v1/txn, all or none. The answer repeats every service: it is dropped unread, which npm consul
   * cannot.
   *
   * @throws ConsulError, its `body` being Consul's answer
   */
  async transaction(operations: readonly object[], options: CallOptions): Promise<void> {
    const response = await this.#transact(operations, options)
    response.on('data', freeBuffer)
    await finished(response).catch((cause: unknown) => {
      throw connectionError({ ...options, url: this.url }, cause)
    })
  }

  /** The same, with Consul's answer, an entry per operation that is not a removal. @throws ConsulError */
  async transactionResults<T>(operations: readonly object[], options: CallOptions): Promise<T[]> {
    const response = await this.#transact(operations, options)
    const body = await text(response, { ...options, url: this.url })
    return (parse(body, options) as { readonly Results: T[] | null }).Results ?? []
  }

  #transact(operations: readonly object[], options: CallOptions): Promise<IncomingMessage> {
    const { timeoutMs = callTimeoutMs } = options
    return this.#request('/txn', options, timeoutMs, Buffer.from(JSON.stringify(operations)))
  }

  /** GET of a path below /v1, as JSON. @throws ConsulError */
  async get<T>(path: string, options: CallOptions): Promise<Answer<T>> {
    const response = await this.#request(path, options, options.timeoutMs ?? callTimeoutMs)
    const body = await text(response, { ...options, url: this.url })
    const index = response.headers['x-consul-index']
    const status = response.statusCode ?? 0
    const parsed = (status === 200 && body !== '' ? parse(body, options) : undefined) as T
    return { status, body: parsed, index: typeof index === 'string' ? index : undefined }
  }

  /**
   * GET of a path below /v1, chunk by chunk; each chunk is gone once `each` returns.
   *
   * @returns whether there was an answer with 200; false for another accepted status
   * @throws ConsulError, also when the answer breaks off
   */
  async stream(path: string, options: CallOptions, each: (chunk: Buffer) => void): Promise<boolean> {
    const response = await this.#request(path, options, streamSilenceMs)
    try {
      const slice = new TimeSlice()
      for await (const chunk of response as AsyncIterable<Buffer>) {
        if (response.statusCode === 200) each(chunk)
        freeBuffer(chunk)
        if (slice.over) await slice.next()
      }
    } catch (cause) {
      throw connectionError({ ...options, url: this.url }, cause)
    }
    return response.statusCode === 200
  }

  /**
   * Sends a GET, or a PUT of `body`, which is gone once it is sent, and gives the answer's head; the time-out goes on while its
   * body is read.
   */
  async #request(
    path: string,
    options: CallOptions,
    timeoutMs: number,
    body?: Buffer,
  ): Promise<IncomingMessage> {
    const attempt: Attempt = { ...options, url: this.url }
    const { datacenter } = this.#connection
    const query = new URLSearchParams({
      ...(datacenter === undefined ? {} : { dc: datacenter }),
      ...options.query,
    })
    const url = new URL(`/v1${path}${query.size === 0 ? '' : `?${query.toString()}`}`, this.url)
    const token = await this.#connection.token()
    const headers = {
      ...this.#headers,
      ...(token === undefined ? {} : { 'x-consul-token': token }),
      ...(body === undefined ? {} : { 'content-length': body.length }),
    }
    const method = body === undefined ? 'GET' : 'PUT'
    if (body !== undefined) this.#connection.beforeCall?.()
    if (options.signal.aborted) throw connectionError(attempt, options.signal.reason)
    const send = this.url.protocol === 'https:' ? httpsRequest : httpRequest
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const { signal } = options
      const request = send(url, { method, agent: this.#agent, headers, signal, timeout: timeoutMs })
      request.on('timeout', () => {
        dropIdleSockets(this.#agent)
        request.destroy(new Error(`silent for ${timeoutMs} ms`))
      })
      request.on('error', (error) => {
        reject(connectionError(attempt, error))
      })
      request.on('response', resolve)
      if (body === undefined) request.end()
      else
        request.end(body, () => {
          freeBuffer(body)
        })
    })
    const status = response.statusCode ?? 0
    if (!(options.accept ?? [200]).includes(status))
      throw statusError(attempt, status, await text(response, attempt))
    return response
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

function parse(body: string, { act }: CallOptions): unknown {
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new ConsulError('consul_bad_answer', `Cannot ${act}: the answer is not JSON`, { cause })
  }
}

async function text(response: IncomingMessage, attempt: Attempt): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
  } catch (cause) {
    throw connectionError(attempt, cause)
  }
  return Buffer.concat(chunks).toString()
}

function bodyText(body: unknown): string {
  if (typeof body === 'string') return body
  return body === undefined ? '' : JSON.stringify(body)
}
