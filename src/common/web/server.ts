import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from '../node-http.ts'
import { describeError, errorCode, PodsonarError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { sendError, type Handler } from './reply.ts'
import { WebSecurity } from './security.ts'

export interface ListenOptions {
  /** The setting that gave the port, for error messages: `PORT`. */
  readonly setting: string
  /** 0: a free one. */
  readonly port: number
  /** Undefined: all addresses, IPv4 and IPv6. */
  readonly address: string | undefined
  readonly handler: Handler
  readonly log: Logger
  /** WEB_CONFIG_FILE: TLS, client certificates and users of this listener. Undefined: plain HTTP for everybody. */
  readonly webConfigFile?: string | undefined
  /** Paths that need neither user nor client certificate. @default none */
  readonly openPaths?: readonly string[]
  /** Paths whose handler asks for a bearer token itself, so that no user of the web configuration is. @default none */
  readonly bearerPaths?: readonly string[]
}

const noTunnelsBody = '{"error":"method_not_allowed","message":"Cannot CONNECT here, expected GET"}\n'
const noTunnels = [
  'HTTP/1.1 405 Method Not Allowed',
  'allow: GET',
  'content-type: application/json; charset=utf-8',
  `content-length: ${noTunnelsBody.length}`,
  'connection: close',
  '',
  noTunnelsBody,
].join('\r\n')

/** How long a stopping server lets requests finish, in milliseconds; within the 10 s that the whole program has. */
const drainMs = 5_000

/** An HTTP or HTTPS listener. Disposing of it stops accepting, lets requests finish for 5 s, then cuts them. */
export class WebServer implements AsyncDisposable {
  readonly #server: Server
  readonly #security: WebSecurity | undefined
  /** All that are open: Node's server does not count those as its own whose TLS handshake goes on. */
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, security: WebSecurity | undefined) {
    this.#server = server
    this.#security = security
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /**
   * @throws PodsonarError `listen_failed` when the port cannot be had
   * @throws SettingsError when the web configuration cannot be used
   */
  static async listen(options: ListenOptions): Promise<WebServer> {
    const { setting, port, address, handler, log, webConfigFile, openPaths = [], bearerPaths = [] } = options
    await using owned = new AsyncDisposableStack()
    const security =
      webConfigFile === undefined
        ? undefined
        : owned.use(await WebSecurity.open({ file: webConfigFile, openPaths, bearerPaths, log }))
    const server = createListener(security, (request, response) => {
      void answer(request, response, handler, security, log)
    })
    const web = new WebServer(server, security)
    server.on('connect', (_request, socket) => {
      socket.on('error', () => undefined)
      socket.end(noTunnels)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const where = address === undefined ? `port ${port}` : `${address} port ${port}`
        reject(
          new PodsonarError(
            'listen_failed',
            `Cannot listen on ${where} (${setting}): ${errorCode(cause) ?? ''}, expected a free port of this machine`,
            { cause },
          ),
        )
      })
      server.listen({ port, ...(address === undefined ? {} : { host: address }) }, resolve)
    })
    server.removeAllListeners('error')
    server.on('error', (error) => {
      log.error({ event: 'listener_failed', error: describeError(error) }, 'Listener failed')
    })
    owned.move()
    const tls = security?.tls !== undefined
    log.info({ event: 'listening', setting, port: web.port, address: address ?? '*', tls }, 'Listening')
    return web
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve()
      })
    })
    this.#server.closeIdleConnections()
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, drainMs)
    await closed
    clearTimeout(cut)
    await this.#security?.[Symbol.asyncDispose]()
  }
}

const limits = {
  keepAliveTimeout: 75_000,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16_384,
}

function createListener(
  security: WebSecurity | undefined,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const tls = security?.tls
  if (tls === undefined) return createServer(limits, listener)
  const options = { ...limits, handshakeTimeout: limits.headersTimeout, rejectUnauthorized: false }
  const server = createTlsServer({ ...options, ...tls }, listener)
  security?.onTlsChange((context, requestCert) => {
    server.setSecureContext(context)
    // Read by Node for each connection, but not among its documented ways to change it.
    Object.assign(server, { requestCert })
  })
  return server
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handler: Handler,
  security: WebSecurity | undefined,
  log: Logger,
): Promise<void> {
  try {
    if (security === undefined || (await security.admit(request, response))) await handler(request, response)
  } catch (error) {
    log.error({ event: 'request_failed', error: describeError(error) }, 'Request failed')
    if (response.headersSent) response.destroy()
    else sendError(response, 500, 'internal', 'The request could not be answered: see the log')
  }
}
