import type { Registry } from 'prom-client'
import { PageQuery } from '../paged-table.ts'
import type { Readiness } from './readiness.ts'
import { sendError, sendJson, sendText, type Handler } from './reply.ts'

export interface OpsRoutes {
  readonly registry: Registry
  readonly readiness: Readiness
  /** Renders `/`, a whole HTML page, as the reader asked for it. */
  readonly page: (query: PageQuery) => string | Promise<string>
  /** More GET routes, by exact path; they may replace `/metrics`. */
  readonly routes?: Readonly<Record<string, Handler>>
}

/** What Kubernetes asks, which knows no user and has no certificate. */
export const probePaths = ['/healthz', '/readyz'] as const

/** Pages bring their own style and nothing else: a browser runs no script in them and fetches nothing for them. */
const pagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

/** `/metrics`, `/healthz`, `/readyz` and `/`, as every mode serves them, and the mode's own routes. */
export function opsHandler({ registry, readiness, page, routes = {} }: OpsRoutes): Handler {
  const handlers = new Map<string, Handler>(
    Object.entries({
      '/metrics': async (_request, response) => {
        sendText(response, 200, registry.contentType, await registry.metrics())
      },
      '/healthz': (_request, response) => {
        sendText(response, 200, 'text/plain; charset=utf-8', 'ok\n')
      },
      '/readyz': (_request, response) => {
        sendJson(response, readiness.ready ? 200 : 503, readiness)
      },
      '/': async (request, response) => {
        response.setHeader('content-security-policy', pagePolicy)
        const text = await page(new PageQuery(request.url ?? '/'))
        sendText(response, 200, 'text/html; charset=utf-8', text)
      },
      ...routes,
    } satisfies Record<string, Handler>),
  )
  return async (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const handler = handlers.get(path)
    if (handler === undefined) {
      sendError(
        response,
        404,
        'not_found',
        `There is nothing at ${path}, expected one of ${[...handlers.keys()].join(' ')}`,
      )
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      sendError(
        response,
        405,
        'method_not_allowed',
        `Cannot ${request.method ?? ''} ${path}, expected GET or HEAD`,
      )
    } else {
      await handler(request, response)
    }
  }
}
