import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { dirname, resolve } from 'node:path'
import { createSecureContext, TLSSocket, type SecureContextOptions } from 'node:tls'
import { describeError, SettingsError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { pause } from '../lifecycle.ts'
import { Passwords } from './passwords.ts'
import { sendError } from './reply.ts'
import { TokenBucket } from './token-bucket.ts'
import { parseWebConfig, type TextOrFile, type TlsSection, type WebConfig } from './web-config.ts'

export interface WebSecurityOptions {
  /** WEB_CONFIG_FILE. */
  readonly file: string
  /** Paths that need neither user nor client certificate. */
  readonly openPaths: readonly string[]
  /** Paths that need a client certificate, but no user: they want a token of their own in the same header. */
  readonly bearerPaths?: readonly string[]
  readonly log: Logger
  /** Milliseconds between readings. @default 10000 */
  readonly everyMs?: number
}

/** What a configuration and the files that it names come to. */
interface Loaded {
  readonly config: WebConfig
  /** Undefined: plain HTTP. */
  readonly context: SecureContextOptions | undefined
  /** All that was read, to tell whether anything changed. */
  readonly fingerprint: string
}

/**
 * Who may talk to a listener, and how: the web configuration and the files that it names, read again when they change.
 * A configuration that cannot be used any more leaves the last one in force.
 */
export class WebSecurity implements AsyncDisposable {
  readonly #options: WebSecurityOptions
  readonly #passwords = new Passwords()
  readonly #stopping = new AbortController()
  #loaded: Loaded
  #bucket: TokenBucket | undefined
  #polling: Promise<void> = Promise.resolve()
  #onTls: (context: SecureContextOptions, requestCert: boolean) => void = () => undefined
  #problem: string | undefined

  private constructor(options: WebSecurityOptions, loaded: Loaded) {
    this.#options = options
    this.#loaded = loaded
    this.#bucket = bucketOf(loaded)
  }

  /** @throws SettingsError when the configuration or a file that it names cannot be used */
  static async open(options: WebSecurityOptions): Promise<WebSecurity> {
    const loaded = await load(options.file).catch((error: unknown) => {
      throw new SettingsError([`WEB_CONFIG_FILE: cannot use ${options.file}: ${describeError(error)}`])
    })
    const security = new WebSecurity(options, loaded)
    security.#polling = security.#poll()
    return security
  }

  /** What an HTTPS server is made with; undefined: plain HTTP. Whether it is TLS at all does not change later. */
  get tls(): (SecureContextOptions & { readonly requestCert: boolean }) | undefined {
    const { context, config } = this.#loaded
    return context === undefined ? undefined : { ...context, requestCert: asksForCertificate(config.tls) }
  }

  /** `listener` gets the TLS options whenever they changed. */
  onTlsChange(listener: (context: SecureContextOptions, requestCert: boolean) => void): void {
    this.#onTls = listener
  }

  /**
   * Lets a request pass, or answers it.
   *
   * @returns whether the request may be handled
   */
  async admit(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { config } = this.#loaded
    for (const [name, value] of Object.entries(config.headers)) response.setHeader(name, value)
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    if (this.#options.openPaths.includes(path)) return true
    if (this.#bucket?.take(performance.now()) === false) {
      response.setHeader('retry-after', 1)
      sendError(
        response,
        429,
        'rate_limited',
        'More requests came than rate_limit of WEB_CONFIG_FILE lets pass',
      )
      return false
    }
    if (config.tls !== undefined && !acceptsCertificate(config.tls, request.socket)) {
      sendError(response, 401, 'unauthorized', 'This needs a client certificate that WEB_CONFIG_FILE accepts')
      return false
    }
    const hasOwnUsers = this.#options.bearerPaths?.includes(path) === true
    return config.users.size === 0 || hasOwnUsers || this.#authenticate(request, response, config.users)
  }

  async #authenticate(
    request: IncomingMessage,
    response: ServerResponse,
    users: ReadonlyMap<string, string>,
  ): Promise<boolean> {
    const [, encoded] = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '') ?? []
    const credentials = Buffer.from(encoded ?? '', 'base64').toString('utf8')
    const colon = credentials.indexOf(':')
    const user = credentials.slice(0, Math.max(0, colon))
    const right =
      colon > 0 && (await this.#passwords.check(user, credentials.slice(colon + 1), users.get(user)))
    if (right === true) return true
    if (right === undefined) {
      response.setHeader('retry-after', 1)
      sendError(response, 503, 'busy', 'Too many passwords wait to be checked')
      return false
    }
    response.setHeader('www-authenticate', 'Basic realm="podsonar", charset="UTF-8"')
    sendError(response, 401, 'unauthorized', 'This needs a user and password that WEB_CONFIG_FILE has')
    return false
  }

  async #poll(): Promise<void> {
    const { file, log, everyMs = 10_000 } = this.#options
    for (;;) {
      await pause(everyMs, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return
      try {
        const loaded = await load(file)
        this.#problem = undefined
        if (loaded.fingerprint === this.#loaded.fingerprint) continue
        if ((loaded.context === undefined) !== (this.#loaded.context === undefined))
          throw new Error('tls_server_config came or went, which needs a restart')
        this.#loaded = loaded
        this.#bucket = bucketOf(loaded)
        if (loaded.context !== undefined) this.#onTls(loaded.context, asksForCertificate(loaded.config.tls))
        log.info({ event: 'web_config_read' }, 'Read the web configuration again')
      } catch (error) {
        const problem = describeError(error)
        if (problem !== this.#problem)
          log.error(
            { event: 'web_config_problem', problem },
            'Cannot use WEB_CONFIG_FILE, the last one stays in force',
          )
        this.#problem = problem
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#polling
    await this.#passwords[Symbol.asyncDispose]()
  }
}

async function load(file: string): Promise<Loaded> {
  const text = await readFile(file, 'utf8')
  const config = parseWebConfig(text)
  if (config.tls === undefined) return { config, context: undefined, fingerprint: text }
  const read = (part: TextOrFile): Promise<string> | string =>
    'text' in part ? part.text : readFile(resolve(dirname(file), part.file), 'utf8')
  const { tls } = config
  const [cert, key] = [await read(tls.certificate), await read(tls.key)]
  const ca = tls.clientAuthority === undefined ? undefined : await read(tls.clientAuthority)
  if (ca !== undefined) new X509Certificate(ca)
  const context: SecureContextOptions = {
    ...{ cert, key, minVersion: tls.minVersion, maxVersion: tls.maxVersion },
    ...(ca === undefined ? {} : { ca }),
    ...(tls.ciphers.length === 0 ? {} : { ciphers: tls.ciphers.join(':') }),
    ...(tls.curves.length === 0 ? {} : { ecdhCurve: tls.curves.join(':') }),
  }
  createSecureContext(context)
  return { config, context, fingerprint: [text, cert, key, ca].join('\0') }
}

function bucketOf({ config: { rateLimit } }: Loaded): TokenBucket | undefined {
  return rateLimit === undefined ? undefined : new TokenBucket(rateLimit, performance.now())
}

function asksForCertificate(tls: TlsSection | undefined): boolean {
  return tls !== undefined && tls.clientAuth !== 'NoClientCert'
}

/**
 * Whether the certificate of a connection, or its absence, is what the configuration asks for. Judged for each request,
 * not in the handshake: the probes are open, and a change holds for connections that are there already.
 */
function acceptsCertificate(tls: TlsSection, socket: unknown): boolean {
  if (tls.clientAuth === 'NoClientCert' || tls.clientAuth === 'RequestClientCert') return true
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  if (certificate === undefined) return tls.clientAuth === 'VerifyClientCertIfGiven'
  const isVerified = socket instanceof TLSSocket && socket.authorized
  if (tls.clientAuth !== 'RequireAnyClientCert' && !isVerified) return false
  const allowed = new Set(tls.clientAllowedSans)
  return allowed.size === 0 || alternativeNames(certificate).some((name) => allowed.has(name))
}

/** `DNS:a, IP Address:1.2.3.4, URI:spiffe://x` → a, 1.2.3.4, spiffe://x. Names with commas come quoted, and match nothing. */
function alternativeNames({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName.split(', ').map((entry) => entry.replace(/^[^:]+:/, ''))
}
