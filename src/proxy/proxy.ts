import type { ModeContext, RunningMode } from '../common/lifecycle.ts'
import { never } from '../common/lifecycle.ts'
import { createRegistry } from '../common/metrics.ts'
import { version } from '../common/version.ts'
import { html, renderPage } from '../common/html.ts'
import { opsHandler } from '../common/web/ops.ts'
import { Readiness } from '../common/web/readiness.ts'
import { WebServer } from '../common/web/server.ts'
import type { ProxyConfig } from '../config/proxy-settings.ts'

/** Composition root of MODE=proxy: owns everything that the mode opens. */
export async function startProxy(config: ProxyConfig, { log }: ModeContext): Promise<RunningMode> {
  await using owned = new AsyncDisposableStack()
  const registry = createRegistry('proxy')
  const readiness = new Readiness()
  owned.use(
    await WebServer.listen({
      setting: 'PORT',
      port: config.port,
      address: config.listenAddress,
      log,
      handler: opsHandler({
        registry,
        readiness,
        page: () => renderPage({ mode: 'proxy', version, body: html`` }),
      }),
    }),
  )
  const kept = owned.move()
  return { finished: never, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}
