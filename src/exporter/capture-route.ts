import { TokenAccess, type CaptureAccess } from '../capture/access.ts'
import { CaptureEndpoint, capturePath } from '../capture/endpoint.ts'
import { NodePods } from '../capture/node-pods.ts'
import { SettingsError } from '../common/errors.ts'
import type { ModeContext } from '../common/lifecycle.ts'
import type { Handler } from '../common/web/reply.ts'
import type { ExporterConfig } from '../config/exporter-settings.ts'
import type { ExporterMetrics } from './metrics.ts'
import type { Procfs } from './procfs.ts'
import type { Runtimes } from './runtimes/runtimes.ts'

export interface CaptureRouteOptions extends ModeContext {
  readonly config: ExporterConfig
  readonly runtimes: Runtimes
  readonly procfs: Procfs
  readonly metrics: ExporterMetrics
}

/** The exporter's captures. Disposing of it closes what knows users; captures end with `signal`. */
export interface CaptureRoute extends AsyncDisposable {
  readonly routes: Readonly<Record<string, Handler>>
}

/** Opens what CAPTURE=true asks for. */
export async function openCapture({
  config,
  runtimes,
  procfs,
  metrics,
  log,
  signal,
}: CaptureRouteOptions): Promise<CaptureRoute> {
  const access = await openAccess(config, log)
  const endpoint = new CaptureEndpoint({
    ...{ pods: new NodePods({ procfs, runtimes }), access, log, signal },
    limits: {
      maxSeconds: config.captureMaxSeconds,
      maxBytes: config.captureMaxBytes,
      maxConcurrent: config.captureMaxConcurrent,
      bufferBytes: config.captureBufferBytes,
    },
    onEnded: ({ reason, dropped }) => {
      metrics.capture(reason, dropped)
    },
    onRefused: (code) => {
      metrics.capture(code, 0)
    },
  })
  return {
    routes: { [capturePath]: (request, response) => endpoint.handle(request, response) },
    [Symbol.asyncDispose]: () => access[Symbol.asyncDispose](),
  }
}

/** The Kubernetes client is loaded only where it is asked for: it doubles the memory of the exporter. */
async function openAccess(
  { captureAuth, captureTokenFile }: ExporterConfig,
  log: ModeContext['log'],
): Promise<CaptureAccess> {
  if (captureAuth === 'kubernetes')
    return new (await import('../capture/kubernetes-access.ts')).KubernetesAccess()
  if (captureTokenFile === undefined)
    throw new SettingsError(['CAPTURE_TOKEN_FILE: expected a readable file'])
  return TokenAccess.open(captureTokenFile, log)
}
