import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Agent as HttpAgent, request as httpRequest } from '../common/node-http.ts'
import { errorCode, PodsonarError } from '../common/errors.ts'
import { dropIdleSockets } from '../common/idle-sockets.ts'
import { version } from '../common/version.ts'
import { ApiError, parseRetryAfter, parseStatus } from './api-error.ts'
import type { ClusterConfig } from './cluster-config.ts'

export interface ApiRequest {
  /** What is tried, for error messages: `list pods`. */
  readonly act: string
  /** @default GET */
  readonly method?: 'GET' | 'POST' | 'PUT'
  /** `/api/v1/pods?limit=250` */
  readonly path: string
  /** Sent as JSON. */
  readonly body?: unknown
  readonly signal: AbortSignal
  /** The longest silence of the server, before and within its answer, in milliseconds. @default 30000 */
  readonly silenceMs?: number
}

/** A refusal's body is read up to that many bytes. */
const maxRefusalBytes = 65_536

/** Requests to the API server over kept connections. */
export class KubernetesClient implements Disposable {
  readonly config: ClusterConfig
  readonly #agent: HttpAgent

  constructor(config: ClusterConfig) {
    this.config = config
    const options = { keepAlive: true, keepAliveMsecs: 30_000, maxSockets: 16, timeout: 0 }
    this.#agent = config.server.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)
  }

  /**
   * Sends a request and gives the answer's body as it arrives, once its status is 2xx.
   *
   * @throws ApiError for another status
   * @throws PodsonarError `api_unreachable` when there is no answer; the abort reason when aborted. Reading the body
   *   fails with `api_silent` when nothing comes for `silenceMs`
   */
  async stream(request: ApiRequest): Promise<IncomingMessage> {
    const { act, signal } = request
    try {
      const response = await this.#send(request)
      const { statusCode: status = 0 } = response
      if (status >= 200 && status < 300) return response
      if (status === 401) this.config.refused()
      const body = await readText(response, maxRefusalBytes)
      throw new ApiError(act, status, parseStatus(body), parseRetryAfter(response.headers['retry-after']))
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (cause instanceof PodsonarError) throw cause
      throw this.#unreachable(act, cause)
    }
  }

  /**
   * Sends a request and gives the answer, parsed.
   *
   * @throws as {@link stream}, and PodsonarError `api_cut` when the answer ends too early or is not JSON
   */
  async json(request: ApiRequest): Promise<unknown> {
    const response = await this.stream(request)
    try {
      return JSON.parse(await readText(response)) as unknown
    } catch (cause) {
      if (request.signal.aborted) throw request.signal.reason
      if (cause instanceof PodsonarError) throw cause
      throw new PodsonarError(
        'api_cut',
        `Cannot ${request.act}: the answer was cut short, expected whole JSON`,
        {
          cause,
        },
      )
    }
  }

  async #send({
    act,
    method = 'GET',
    path,
    body,
    signal,
    silenceMs = 30_000,
  }: ApiRequest): Promise<IncomingMessage> {
    const { server } = this.config
    const { headers = {}, ...options } = await this.config.authenticate()
    const text = body === undefined ? undefined : JSON.stringify(body)
    const send = server.protocol === 'https:' ? httpsRequest : httpRequest
    const request = send({
      ...hostOf(server),
      agent: this.#agent,
      ...options,
      method,
      path: server.pathname.replace(/\/$/, '') + path,
      headers: {
        ...headers,
        accept: 'application/json',
        'user-agent': `podsonar/${version}`,
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
      signal,
    })
    const received: { response?: IncomingMessage } = {}
    request.setTimeout(silenceMs, () => {
      const silent = `${server.origin} was silent for ${silenceMs} ms`
      dropIdleSockets(this.#agent)
      const error = new PodsonarError('api_silent', `Cannot ${act}: ${silent}, expected an answer`)
      ;(received.response ?? request).destroy(error)
    })
    request.end(text)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    received.response = response
    // What breaks from here on reaches whoever reads the body.
    request.on('error', () => undefined)
    return response
  }

  #unreachable(act: string, cause: unknown): PodsonarError {
    const { origin } = this.config.server
    const why = errorCode(cause)
    return new PodsonarError(
      'api_unreachable',
      `Cannot ${act}: no answer from ${origin}${why === undefined ? '' : ` (${why})`}`,
      { cause },
    )
  }

  /** Closes all connections. */
  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

function hostOf({ hostname, port, protocol }: URL): { host: string; port: string | number } {
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return { host, port: port === '' ? (protocol === 'https:' ? 443 : 80) : port }
}

/** Reads a body as text. @throws when the connection ends before the body does */
async function readText(response: IncomingMessage, maxBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) break
  }
  return Buffer.concat(chunks, length).toString('utf8')
}
