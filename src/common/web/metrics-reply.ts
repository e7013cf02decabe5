/** The answer of /metrics: Prometheus text or OpenMetrics, as the client asks for, compressed if it can take it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished, pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Registry } from 'prom-client'
import { Family, renderLabels, type ExpositionFormat } from '../exposition.ts'

const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}
/** Below this, compression costs more than it saves. In bytes. */
const compressFrom = 1_024

/** Pieces below this are put together: each one that is written costs as much as copying so many bytes. */
const smallPiece = 32_768

/**
 * Sends `families` and what `registry` holds, in one answer. It is never put together as a whole: on a big node it takes
 * megabytes.
 *
 * @returns when it was sent, or nobody waits for it any more: `families` are needed until then
 */
export async function sendMetrics(
  request: IncomingMessage,
  response: ServerResponse,
  families: readonly Family[],
  registry: Registry,
): Promise<void> {
  const format = wantedFormat(request.headers.accept)
  const own = await registryFamilies(registry)
  const pieces = [...families, ...own].flatMap((family) => family.pieces(format))
  if (format === 'openmetrics') pieces.push(Buffer.from('# EOF\n'))
  const whole = joinSmall(pieces)
  const zip = sizeOf(whole) >= compressFrom && acceptsGzip(request.headers['accept-encoding'])
  const body = zip ? await compress(whole) : whole
  response.writeHead(200, {
    'content-type': contentTypes[format],
    'content-length': sizeOf(body),
    ...(zip ? { 'content-encoding': 'gzip' } : {}),
    vary: 'accept, accept-encoding',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  response.cork()
  for (const piece of body) response.write(piece)
  response.uncork()
  response.end()
  // A client that goes away in between is no error of ours.
  await finished(response).catch(() => undefined)
  for (const family of own) family.release()
}

/** Level 1: a tenth of the size for a fraction of the time, and off the main thread. */
async function compress(pieces: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const compressed: Uint8Array[] = []
  await pipeline(pieces, createGzip({ level: 1, chunkSize: 65_536 }), async (source) => {
    for await (const chunk of source) compressed.push(chunk as Uint8Array)
  })
  return compressed
}

function joinSmall(pieces: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = []
  let small: Uint8Array[] = []
  const flush = (): void => {
    if (small.length > 0) joined.push(Buffer.concat(small))
    small = []
  }
  for (const piece of pieces) {
    if (piece.length < smallPiece) small.push(piece)
    else {
      flush()
      joined.push(piece)
    }
  }
  flush()
  return joined
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0)
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
