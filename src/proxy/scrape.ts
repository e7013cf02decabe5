import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../common/logger.ts'
import { sendError } from '../common/web/reply.ts'
import { scrapeTimeoutMs, type TimeoutRules } from '../common/web/scrape-timeout.ts'
import type { Target } from './core/access.ts'
import type { InFlight } from './core/in-flight.ts'
import { Refusal, type RefusalCode } from './core/refusal.ts'
import { checkRequest } from './core/request.ts'
import { parseRoute, type Route } from './core/route.ts'
import type { Access, Credentials } from './credentials.ts'
import type { LastScrapes } from './last-scrapes.ts'
import type { ProxyMetrics } from './metrics.ts'
import type { ExchangeResult, Upstream } from './upstream.ts'

export interface ScrapeOptions {
  /** Decides whether a route may be scraped; throws the Refusal when not. */
  readonly allow: (route: Route) => Target
  /** Whether a node of this name is still known when its scrape is over: only such are recorded. */
  readonly isNode: (name: string) => boolean
  readonly credentials: Credentials
  readonly upstream: Upstream
  readonly inFlight: InFlight
  readonly timeouts: TimeoutRules
  readonly maxBytes: number
  readonly metrics: ProxyMetrics
  readonly last: LastScrapes
  readonly log: Logger
}

/** What cut a body short, as the metrics and the page name it. */
const cuts = {
  lost: { code: 'upstream_lost', message: 'the target was lost in the middle of its answer' },
  too_large: { code: 'upstream_too_large', message: 'the answer exceeded MAX_SCRAPE_BYTES' },
  timeout: { code: 'upstream_timeout', message: 'the deadline passed in the middle of the answer' },
  client_gone: { code: 'client_gone', message: 'the client closed its connection' },
} as const satisfies Record<Exclude<ExchangeResult['end'], 'done'>, { code: string; message: string }>

/** How long a client is asked to wait when there is no place or no readiness, in seconds. */
const retryAfterSeconds = 5

/** Answers one request on the port of the scrape routes: everything between the client's head and its last byte. */
export async function scrape(
  request: IncomingMessage,
  response: ServerResponse,
  options: ScrapeOptions,
): Promise<void> {
  const startedMs = performance.now()
  let target: Target | undefined
  let bytes = 0
  let problem: { readonly code: string; readonly message: string } | undefined
  try {
    checkRequest(request)
    target = options.allow(parseRoute(request.url ?? ''))
    using place = options.inFlight.enter(target.label)
    if (place === undefined) throw new Refusal('busy', `Too many scrapes run, in all or of ${target.label}`)
    const result = await exchange(request, response, target, options)
    bytes = result.bytes
    if (result.end !== 'done') problem = cuts[result.end]
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    problem = error
    refuse(response, error)
  }
  const seconds = (performance.now() - startedMs) / 1_000
  const node = target?.isKubelet === true && options.isNode(target.label) ? target.label : undefined
  const kind = target === undefined ? undefined : target.isKubelet ? 'node' : 'pod'
  options.metrics.record({ target: kind, node, code: problem?.code ?? 'ok', seconds, bytes })
  if (node !== undefined)
    options.last.record(
      node,
      { atMs: Date.now(), code: problem?.code ?? 'ok', seconds, bytes },
      problem?.message,
    )
  if (problem !== undefined)
    options.log.debug(
      { event: 'scrape_failed', code: problem.code, problem: problem.message },
      'Scrape failed',
    )
}

/** One exchange, and another when it failed for credentials or an authority that have been replaced since. */
async function exchange(
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
  { credentials, upstream, timeouts, maxBytes }: ScrapeOptions,
): Promise<ExchangeResult> {
  const headers = request.headers
  const timeoutMs = scrapeTimeoutMs(headers['x-prometheus-scrape-timeout-seconds'], timeouts)
  const endMs = performance.now() + timeoutMs
  const once = (access: Access): Promise<ExchangeResult> => {
    const leftMs = Math.max(1, Math.round(endMs - performance.now()))
    return upstream.exchange(request, response, { target, ...access, timeoutMs: leftMs, maxBytes })
  }
  const access = credentials.for(target)
  try {
    return await once(access)
  } catch (error) {
    if (!target.isKubelet || !(error instanceof Refusal) || !refreshAfter.has(error.code)) throw error
    await credentials.refresh()
    const renewed = credentials.for(target)
    if (renewed.agents === access.agents && renewed.authorization === access.authorization) throw error
    request.headers = headers
    return once(renewed)
  }
}

const refreshAfter: ReadonlySet<RefusalCode> = new Set(['upstream_auth', 'upstream_tls'])
const waitFor: ReadonlySet<RefusalCode> = new Set(['busy', 'not_ready'])

function refuse(response: ServerResponse, refusal: Refusal): void {
  if (response.destroyed) return
  if (waitFor.has(refusal.code)) response.setHeader('retry-after', retryAfterSeconds)
  if (refusal.code === 'method_not_allowed') response.setHeader('allow', 'GET')
  // A request that should not have been sent may have a body, or more in the pipe: nothing behind it is read.
  if (refusal.status < 403 || refusal.status === 405) response.setHeader('connection', 'close')
  sendError(response, refusal.status, refusal.code, refusal.message)
}
