/** GET /api/v1/capture: the packets of one pod of this node, as a pcap stream. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { describeError, errorCode, PodsonarError } from '../common/errors.ts'
import { isLoopback } from '../common/ip.ts'
import type { Logger } from '../common/logger.ts'
import { sendError } from '../common/web/reply.ts'
import type { CaptureAccess, CaptureUser } from './access.ts'
import { PreparedCapture, type CaptureOutcome } from './capture.ts'
import { parseCaptureQuery, type CaptureLimits, type CaptureRequest } from './core/request.ts'
import type { NodePods } from './node-pods.ts'
import { streamSink } from './stream-sink.ts'

export const capturePath = '/api/v1/capture'

export interface CaptureEndpointOptions {
  readonly pods: NodePods
  readonly access: CaptureAccess
  readonly limits: CaptureLimits & { readonly maxConcurrent: number; readonly bufferBytes: number }
  readonly log: Logger
  /** Aborted when the program stops: captures end, and their clients get what there is. */
  readonly signal: AbortSignal
  /** Told of each capture that ended, and of each that was refused, by its code. */
  readonly onEnded: (outcome: CaptureOutcome) => void
  readonly onRefused: (code: string) => void
}

/** Refusals by code: the HTTP status. What is not here is 500. */
const statuses: Readonly<Record<string, number>> = {
  bad_parameter: 400,
  bad_filter: 400,
  unauthorized: 401,
  tls_required: 403,
  forbidden: 403,
  no_such_pod: 404,
  pod_gone: 404,
  method_not_allowed: 405,
  host_network: 409,
  no_veth: 409,
  too_many_captures: 429,
  auth_unavailable: 503,
  api_unreachable: 503,
  api_silent: 503,
  no_runtime: 503,
  runtime_failed: 503,
  stopping: 503,
}

export class CaptureEndpoint {
  readonly #options: CaptureEndpointOptions
  #running = 0

  constructor(options: CaptureEndpointOptions) {
    this.#options = options
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { log, onRefused } = this.#options
    let user: CaptureUser | undefined
    try {
      if (request.method !== 'GET')
        throw new PodsonarError(
          'method_not_allowed',
          `Cannot ${request.method ?? ''} a capture, expected GET`,
        )
      if (!(request.socket instanceof TLSSocket) && !isLoopback(request.socket.remoteAddress ?? ''))
        throw new PodsonarError(
          'tls_required',
          'A capture is not sent in the clear: expected TLS (WEB_CONFIG_FILE), or a port-forward',
        )
      user = await this.#user(request)
      const asked = parseCaptureQuery(
        new URL(request.url ?? '', 'http://exporter').searchParams,
        this.#options.limits,
      )
      if (!(await user.mayCapture(asked.namespace, asked.pod)))
        throw new PodsonarError(
          'forbidden',
          `${user.name} may not capture pod ${asked.namespace}/${asked.pod}, expected the right to create pods/portforward`,
        )
      await this.#inSlot(() => this.#capture(asked, user?.name ?? '', request, response))
    } catch (error) {
      const code = errorCode(error) ?? 'internal'
      onRefused(code)
      log.warn(
        {
          event: 'capture_refused',
          code,
          user: user?.name,
          client: request.socket.remoteAddress,
          reason: describeError(error),
        },
        'A capture was refused',
      )
      if (response.headersSent) response.destroy()
      else refuse(response, code, error)
    }
  }

  async #user({ headers }: IncomingMessage): Promise<CaptureUser> {
    const [, token] = /^Bearer +([\x21-\x7e]+) *$/i.exec(headers.authorization ?? '') ?? []
    const user = token === undefined ? undefined : await this.#options.access.userOf(token)
    if (user === undefined)
      throw new PodsonarError('unauthorized', 'This needs a bearer token that the exporter accepts')
    return user
  }

  async #inSlot(work: () => Promise<void>): Promise<void> {
    const { limits, signal } = this.#options
    if (signal.aborted) throw new PodsonarError('stopping', 'The exporter stops')
    if (this.#running >= limits.maxConcurrent)
      throw new PodsonarError(
        'too_many_captures',
        `${this.#running} captures run on this node already, expected at most ${limits.maxConcurrent}`,
      )
    this.#running += 1
    try {
      await work()
    } finally {
      this.#running -= 1
    }
  }

  async #capture(
    asked: CaptureRequest,
    user: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { pods, limits, log, signal, onEnded } = this.#options
    const target = await pods.find(asked.namespace, asked.pod)
    using prepared = await PreparedCapture.open(pods, target, asked, limits.bufferBytes)
    const gone = new AbortController()
    response.once('close', () => {
      gone.abort('client_gone')
    })
    if (response.destroyed) gone.abort('client_gone')
    const what = { ...asked, user, client: request.socket.remoteAddress }
    const outcome = await prepared.relay(
      streamSink(response),
      { ...asked, signal: AbortSignal.any([signal, gone.signal]) },
      {
        onBegun: () => {
          log.info({ event: 'capture_started', ...what }, 'Packets of a pod are being captured')
          response.writeHead(200, {
            'content-type': 'application/vnd.tcpdump.pcap',
            'content-disposition': `attachment; filename="${asked.namespace}-${asked.pod}.pcap"`,
            'cache-control': 'no-store',
            'x-content-type-options': 'nosniff',
            trailer: trailerNames.join(', '),
          })
          response.flushHeaders()
        },
      },
    )
    const { packets, bytes, received, dropped, reason, seconds, failure } = outcome
    log.info(
      {
        ...{ event: 'capture_ended', namespace: asked.namespace, pod: asked.pod, user },
        ...{ reason, failure, packets, bytes, received, dropped, seconds },
      },
      'A capture has ended',
    )
    onEnded(outcome)
    if (response.destroyed) return
    response.addTrailers({
      'x-capture-end': reason,
      'x-capture-packets': String(packets),
      'x-capture-received': String(received),
      'x-capture-dropped': String(dropped),
    })
    response.end()
  }
}

/** What follows the packets: why it ended, and how many packets there were. */
const trailerNames = ['x-capture-end', 'x-capture-packets', 'x-capture-received', 'x-capture-dropped']

function refuse(response: ServerResponse, code: string, error: unknown): void {
  if (code === 'unauthorized') response.setHeader('www-authenticate', 'Bearer realm="podsonar capture"')
  if (code === 'too_many_captures') response.setHeader('retry-after', '10')
  if (code === 'method_not_allowed') response.setHeader('allow', 'GET')
  const status = statuses[code]
  const message =
    error instanceof PodsonarError ? error.message : 'The capture could not be made: see the log'
  sendError(response, status ?? 500, code, message)
}
