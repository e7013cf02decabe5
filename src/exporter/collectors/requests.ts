import { Family, joinLabels, renderLabels, type Exemplar } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import { durationBounds, type RequestSeries, type SeriesKind } from '../core/requests/series.ts'
import type { RequestReading } from '../ebpf/request-reader.ts'
import type { RequestObserver } from '../requests/observer.ts'

/** Marks the series, so that they never add up with those of an instrumented application. */
const source = renderLabels({ source: 'podsonar' })

export interface RequestCollectorOptions {
  readonly observer: RequestObserver
  readonly onReading: (reading: RequestReading) => void
}

/** HTTP requests that chosen pods served and made, with OpenTelemetry's names. What is seen: docs/requests.md. */
export function httpCollector({ observer, onReading }: RequestCollectorOptions): Collector {
  return {
    name: 'http',
    async collect(_snapshot, signal) {
      const reading = await observer.read(false, signal)
      if (reading === undefined) return []
      onReading(reading)
      return [
        ...durations(
          reading,
          'http_server',
          'http_server_request_duration_seconds',
          'HTTP requests that were served',
        ),
        ...durations(
          reading,
          'http_client',
          'http_client_request_duration_seconds',
          'HTTP requests that were made',
        ),
        ...sums(reading),
      ]
    },
  }
}

/** gRPC calls, likewise. */
export function grpcCollector({ observer, onReading }: RequestCollectorOptions): Collector {
  return {
    name: 'grpc',
    async collect(_snapshot, signal) {
      const reading = await observer.read(true, signal)
      if (reading === undefined) return []
      onReading(reading)
      return [
        ...durations(
          reading,
          'rpc_server',
          'rpc_server_call_duration_seconds',
          'gRPC calls that were served',
        ),
        ...durations(reading, 'rpc_client', 'rpc_client_call_duration_seconds', 'gRPC calls that were made'),
      ]
    },
  }
}

function durations({ series }: RequestReading, kind: SeriesKind, name: string, what: string): Family[] {
  const family = new Family(
    name,
    'histogram',
    `${what}: seconds from the first byte of the request to the last of the response.`,
  )
  for (const one of series)
    if (one.kind === kind)
      family.addHistogram(
        joinLabels(one.owner, one.labels, source),
        durationBounds,
        one.buckets,
        one.sumSeconds,
        exemplarsOf(one),
      )
  return [family]
}

function exemplarsOf({ exemplars }: RequestSeries): (Exemplar | undefined)[] {
  return exemplars.map(
    (one) =>
      one && {
        ...{ value: one.seconds, atSeconds: one.atSeconds },
        labels: { trace_id: one.traceId, span_id: one.spanId },
      },
  )
}

/** What is told as a mean only: histograms of one bucket, which keep OpenTelemetry's names and cost three lines a series. */
function sums({ series }: RequestReading): Family[] {
  const families: Family[] = []
  for (const side of ['server', 'client'] as const) {
    const histogram = (name: string, help: string): Family =>
      new Family(`http_${side}_${name}`, 'histogram', help)
    const request = histogram('request_body_size_bytes', 'Bytes of request bodies, as on the wire.')
    const response = histogram('response_body_size_bytes', 'Bytes of response bodies, as on the wire.')
    const firstByte = histogram(
      'time_to_first_byte_seconds',
      'Seconds from the first byte of the request to the first of the response.',
    )
    for (const one of series) {
      if (one.kind !== `http_${side}`) continue
      const labels = joinLabels(one.owner, one.labels, source)
      const count = [one.buckets.reduce((total, value) => total + value, 0)]
      request.addHistogram(labels, [], count, one.requestBytes)
      response.addHistogram(labels, [], count, one.responseBytes)
      firstByte.addHistogram(labels, [], count, one.sumFirstByteSeconds)
    }
    families.push(request, response, firstByte)
  }
  return families
}
