import type { Registry } from 'prom-client'
import type { Readiness } from './readiness.ts'
import { sendError, sendJson, sendText, type Handler } from './reply.ts'

export interface OpsRoutes {
  readonly registry: Registry
  readonly readiness: Readiness
  /** Renders `/`, a whole HTML page. */
  readonly page: () => string | Promise<string>
  /** More GET routes, by exact path; they may replace `/metrics`. */
  readonly routes?: Readonly<Record<string, Handler>>
}

/** What Kubernetes asks, which knows no user and has no certificate. */
export const probePaths = ['/healthz', '/readyz'] as const

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
      '/': async (_request, response) => {
        sendText(response, 200, 'text/html; charset=utf-8', await page())
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
