/** The answer of /metrics: Prometheus text or OpenMetrics, as the client asks for, compressed if it can take it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Registry } from 'prom-client'
import { Family, renderLabels, type ExpositionFormat } from '../exposition.ts'
import { TextBuffer } from '../text-buffer.ts'

const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}
/** Below this, compression costs more than it saves. In bytes. */
const compressFrom = 1_024

const compress = promisify(gzip)

/** Sends `families` and what `registry` holds, in one answer. */
export async function sendMetrics(
  request: IncomingMessage,
  response: ServerResponse,
  families: readonly Family[],
  registry: Registry,
): Promise<void> {
  const format = wantedFormat(request.headers.accept)
  const page = new TextBuffer('')
  for (const family of [...families, ...(await registryFamilies(registry))]) family.writeTo(page, format)
  if (format === 'openmetrics') page.text('# EOF\n')
  const zip = page.bytes.length >= compressFrom && acceptsGzip(request.headers['accept-encoding'])
  // Level 1: a tenth of the size for a fraction of the time, and off the main thread.
  const body = zip ? await compress(page.bytes, { level: 1 }) : page.bytes
  response.writeHead(200, {
    'content-type': contentTypes[format],
    'content-length': body.length,
    ...(zip ? { 'content-encoding': 'gzip' } : {}),
    vary: 'accept, accept-encoding',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  response.end(body, () => {
    page.release()
  })
}

/** OpenMetrics is given to whoever takes it: a Prometheus names it first. */
function wantedFormat(accept: string | undefined): ExpositionFormat {
  const offers = (accept ?? '').split(',').map((offer) => offer.trim())
  const open = offers.some(
    (offer) => offer.startsWith('application/openmetrics-text') && !/;\s*q=0(\.0*)?\s*(;|$)/.test(offer),
  )
  return open ? 'openmetrics' : 'prometheus'
}

function acceptsGzip(encoding: string | undefined): boolean {
  return (encoding ?? '')
    .split(',')
    .some((offer) => /^\s*(gzip|\*)\s*(;|$)/.test(offer) && !/;\s*q=0(\.0*)?\s*$/.test(offer))
}

/** What prom-client holds, as families: its own OpenMetrics text is a switch of the whole registry. */
async function registryFamilies(registry: Registry): Promise<Family[]> {
  const metrics = (await registry.getMetricsAsJSON()) as unknown as readonly RegistryMetric[]
  return metrics.map(({ name, help, type, values }) => {
    const family = new Family(name, type, help)
    for (const { labels, value, metricName } of values) {
      const texts = Object.fromEntries(Object.entries(labels).map(([key, label]) => [key, String(label)]))
      family.addSuffixed((metricName ?? name).slice(name.length), renderLabels(texts), value)
    }
    return family
  })
}

interface RegistryMetric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  readonly values: readonly {
    readonly labels: Readonly<Record<string, string | number>>
    readonly value: number
    /** With the suffix of a histogram's sample. */
    readonly metricName?: string
  }[]
}
