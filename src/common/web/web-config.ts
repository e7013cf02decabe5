/**
 * The web configuration file that Prometheus's exporters share: TLS, client certificates, users and a few headers.
 * Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. Pure.
 */
import { parse } from 'yaml'
import { cipherNames, curveNames, tlsVersions } from './go-names.ts'

const clientAuthTypes = [
  'NoClientCert',
  'RequestClientCert',
  'RequireAnyClientCert',
  'VerifyClientCertIfGiven',
  'RequireAndVerifyClientCert',
] as const
type ClientAuthType = (typeof clientAuthTypes)[number]

/** A text of its own, or the file that holds it, as the configuration names it. */
export type TextOrFile = { readonly text: string } | { readonly file: string }

export interface TlsSection {
  readonly certificate: TextOrFile
  readonly key: TextOrFile
  readonly clientAuth: ClientAuthType
  readonly clientAuthority: TextOrFile | undefined
  /** One of these must be among the client certificate's subject alternative names; empty: any. */
  readonly clientAllowedSans: readonly string[]
  /** As Node and OpenSSL name them. */
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'
  readonly ciphers: readonly string[]
  readonly curves: readonly string[]
}

/** A token bucket. */
export interface RateLimit {
  /** Between two requests, in milliseconds. */
  readonly intervalMs: number
  /** Requests that may come at once. */
  readonly burst: number
}

export interface WebConfig {
  /** Undefined: plain HTTP. */
  readonly tls: TlsSection | undefined
  /** Sent with every answer, by name. */
  readonly headers: Readonly<Record<string, string>>
  /** Bcrypt hashes by user; empty: no user is asked for. */
  readonly users: ReadonlyMap<string, string>
  /** For all clients together; undefined: as many requests as come. */
  readonly rateLimit: RateLimit | undefined
}

type Fields = Readonly<Record<string, unknown>>

/**
 * Reads a web configuration.
 *
 * @throws Error that names the field, what it holds (never a secret) and what is accepted
 */
export function parseWebConfig(text: string): WebConfig {
  const root = fields('the file', parse(text) ?? {}, [
    'tls_server_config',
    'http_server_config',
    'basic_auth_users',
    'rate_limit',
  ])
  const http = fields('http_server_config', root['http_server_config'] ?? {}, ['http2', 'headers'])
  boolean('http_server_config.http2', http['http2'])
  return {
    tls: parseTls(root['tls_server_config']),
    headers: parseHeaders(http['headers']),
    users: parseUsers(root['basic_auth_users']),
    rateLimit: parseRateLimit(root['rate_limit']),
  }
}

function parseTls(value: unknown): TlsSection | undefined {
  if (value === undefined || value === null) return undefined
  const at = 'tls_server_config'
  const tls = fields(at, value, [
    ...['cert_file', 'key_file', 'cert', 'key', 'client_auth_type', 'client_ca_file', 'client_ca'],
    ...['client_allowed_sans', 'min_version', 'max_version', 'cipher_suites', 'curve_preferences'],
    'prefer_server_cipher_suites',
  ])
  boolean(`${at}.prefer_server_cipher_suites`, tls['prefer_server_cipher_suites'])
  const certificate = textOrFile(at, tls, 'cert')
  const key = textOrFile(at, tls, 'key')
  if (certificate === undefined) throw new Error(`${at}: expected cert_file (or cert): none was given`)
  if (key === undefined) throw new Error(`${at}: expected key_file (or key): none was given`)

  const clientAuth = oneOf(
    `${at}.client_auth_type`,
    tls['client_auth_type'] || 'NoClientCert',
    clientAuthTypes,
  )
  const clientAuthority = textOrFile(at, tls, 'client_ca')
  const clientAllowedSans = texts(`${at}.client_allowed_sans`, tls['client_allowed_sans'])
  const verifies = clientAuth === 'RequireAndVerifyClientCert' || clientAuth === 'VerifyClientCertIfGiven'
  if (clientAuthority !== undefined && clientAuth === 'NoClientCert')
    throw new Error(
      `${at}.client_ca_file: expected a client_auth_type with it: none was given, so it would have no effect`,
    )
  if (clientAuthority === undefined && verifies)
    throw new Error(`${at}.client_auth_type: expected client_ca_file with ${clientAuth}: none was given`)
  if (clientAllowedSans.length > 0 && !clientAuth.startsWith('Require'))
    throw new Error(
      `${at}.client_allowed_sans: expected client_auth_type RequireAndVerifyClientCert or RequireAnyClientCert: value was ${clientAuth}`,
    )

  const version = (name: string, fallback: keyof typeof tlsVersions): TlsSection['minVersion'] =>
    tlsVersions[
      oneOf(`${at}.${name}`, tls[name] ?? fallback, Object.keys(tlsVersions) as (keyof typeof tlsVersions)[])
    ]
  const minVersion = version('min_version', 'TLS12')
  const maxVersion = version('max_version', 'TLS13')
  if (minVersion > maxVersion)
    throw new Error(
      `${at}.min_version: expected at most max_version: value was ${minVersion}, max_version ${maxVersion}`,
    )
  return {
    ...{ certificate, key, clientAuth, clientAuthority, clientAllowedSans, minVersion, maxVersion },
    ciphers: named(`${at}.cipher_suites`, tls['cipher_suites'], cipherNames),
    curves: named(`${at}.curve_preferences`, tls['curve_preferences'], curveNames),
  }
}

/** The headers that the format knows, and what each may hold. */
const headerValues: Readonly<Record<string, readonly string[] | undefined>> = {
  'Content-Security-Policy': undefined,
  'Strict-Transport-Security': undefined,
  'X-Content-Type-Options': ['nosniff'],
  'X-Frame-Options': ['deny', 'sameorigin'],
  'X-XSS-Protection': undefined,
}

function parseHeaders(value: unknown): Record<string, string> {
  const headers = fields('http_server_config.headers', value ?? {}, Object.keys(headerValues))
  return Object.fromEntries(
    Object.entries(headers).map(([name, given]) => {
      const at = `http_server_config.headers.${name}`
      const content = nonEmpty(at, given)
      if (!/^[\x20-\x7e]*$/.test(content)) throw new Error(`${at}: expected printable text`)
      const accepted = headerValues[name]
      return [name, accepted === undefined ? content : oneOf(at, content.toLowerCase(), accepted)]
    }),
  )
}

function parseUsers(value: unknown): Map<string, string> {
  const users = fields('basic_auth_users', value ?? {})
  return new Map(
    Object.entries(users).map(([user, hash]) => {
      if (user === '' || user.includes(':'))
        throw new Error(
          `basic_auth_users: expected a user name without a colon: value was ${JSON.stringify(user)}`,
        )
      // The value may be a password that somebody forgot to hash: it is not shown.
      if (typeof hash !== 'string' || !/^\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/.test(hash))
        throw new Error(`basic_auth_users.${user}: expected a bcrypt hash such as "htpasswd -nBC 10" prints`)
      return [user, hash]
    }),
  )
}

function parseRateLimit(value: unknown): RateLimit | undefined {
  const limit = fields('rate_limit', value ?? {}, ['interval', 'burst'])
  const intervalMs = duration('rate_limit.interval', limit['interval'] ?? 0)
  const burst = limit['burst'] ?? 0
  if (!Number.isSafeInteger(burst) || Number(burst) < 0)
    throw new Error(`rate_limit.burst: expected a whole number from 0: value was ${JSON.stringify(burst)}`)
  if (intervalMs === 0) return undefined
  if (burst === 0) throw new Error('rate_limit.burst: expected at least 1: 0 would let no request pass')
  return { intervalMs, burst: Number(burst) }
}

/** The units of Go's durations, in milliseconds. */
const unitMs = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

/** `1m30s`, `250ms`, 0: a duration as Go's yaml reads it, in milliseconds. */
function duration(at: string, value: unknown): number {
  const text = value === 0 ? '0' : value
  if (text === '0') return 0
  if (typeof text !== 'string' || !/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text))
    throw new Error(`${at}: expected a duration such as 1s or 250ms: value was ${JSON.stringify(value)}`)
  return [...text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * unitMs[unit as keyof typeof unitMs],
    0,
  )
}

/** `name` as a text, or `name_file`; both are an error. */
function textOrFile(at: string, values: Fields, name: string): TextOrFile | undefined {
  const [own, file] = [values[name], values[`${name}_file`]]
  if (own && file) throw new Error(`${at}: expected one of ${name} and ${name}_file: both were given`)
  if (own) return { text: nonEmpty(`${at}.${name}`, own) }
  return file ? { file: nonEmpty(`${at}.${name}_file`, file) } : undefined
}

function fields(at: string, value: unknown, known?: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${at}: expected a mapping of names to values`)
  const unknown = Object.keys(value).find((name) => known !== undefined && !known.includes(name))
  if (unknown !== undefined)
    throw new Error(`${at}: expected one of ${known?.join(', ') ?? ''}: value was ${JSON.stringify(unknown)}`)
  return value as Fields
}

function boolean(at: string, value: unknown): void {
  if (value !== undefined && value !== null && typeof value !== 'boolean')
    throw new Error(`${at}: expected true or false: value was ${JSON.stringify(value)}`)
}

function nonEmpty(at: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new Error(`${at}: expected a text`)
  return value
}

function texts(at: string, value: unknown): string[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw new Error(`${at}: expected a list of texts`)
  return value.map((entry) => nonEmpty(at, entry))
}

function oneOf<const T extends string>(at: string, value: unknown, accepted: readonly T[]): T {
  const found = accepted.find((known) => known === value)
  if (found === undefined)
    throw new Error(`${at}: expected one of ${accepted.join(', ')}: value was ${JSON.stringify(value)}`)
  return found
}

function named(at: string, value: unknown, names: Readonly<Record<string, string>>): string[] {
  return texts(at, value).map((entry) => names[oneOf(at, entry, Object.keys(names))] ?? '')
}
