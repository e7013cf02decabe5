/** Counts exchanges by what OpenTelemetry's conventions label them with, in a bounded number of series. */
import { joinLabels, renderLabels } from '../../../common/exposition.ts'
import type { Exchange } from './exchange.ts'
import { methodLabel } from './method.ts'
import { RecentSeries } from './recent-series.ts'

/** What a series counts; the name of its metric is made of it. */
export type SeriesKind = 'http_server' | 'http_client' | 'rpc_server' | 'rpc_client'

/** Upper bounds in seconds, as the HTTP and RPC conventions advise. */
export const durationBounds: readonly number[] = [
  ...[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
]

/** A request of a bucket that belongs to a trace. */
export interface Exemplar {
  readonly traceId: string
  readonly spanId: string
  readonly seconds: number
  /** Unix time. */
  readonly atSeconds: number
}

export interface RequestSeries {
  readonly kind: SeriesKind
  /** Rendered, without those of the owner. */
  readonly labels: string
  /** Observations of each bucket alone; one more than bounds. */
  readonly buckets: Float64Array
  readonly exemplars: (Exemplar | undefined)[]
  sumSeconds: number
  /** Of the times until the first byte of the response. */
  sumFirstByteSeconds: number
  /** Sums of the sizes of bodies. */
  requestBytes: number
  responseBytes: number
}

/** Series of one owner. */
type OwnerSeries = Map<string, RequestSeries>

export interface SeriesBounds {
  /** Series of all owners, at most: beyond, routes and addresses become `~other`; at twice as many, new ones are left out. */
  readonly maxSeries: number
}

const other = '~other'
const unknown = '~unknown'

export class RequestCounts {
  readonly #bounds: SeriesBounds
  readonly #owners = new Map<string, OwnerSeries>()
  readonly #recent = new RecentSeries<RequestSeries>()
  #size = 0
  /** Exchanges that were counted with `~other`, and those that were not counted, for want of series. */
  folded = 0
  dropped = 0

  constructor(bounds: SeriesBounds) {
    this.#bounds = bounds
  }

  get owners(): ReadonlyMap<string, ReadonlyMap<string, RequestSeries>> {
    return this.#owners
  }

  /** @param unixOffsetSeconds what CLOCK_MONOTONIC is short of Unix time */
  add(owner: string, exchange: Exchange, unixOffsetSeconds: number): void {
    let series = this.#recent.of(owner, exchange) ?? this.#findNamed(owner, exchange)
    if (series === undefined) {
      this.folded += exchange.weight
      series = this.#find(owner, exchange, true)
    }
    if (series === undefined) {
      this.dropped += exchange.weight
      return
    }
    const seconds = Math.max(0, exchange.endNs - exchange.startNs) / 1e9
    let bucket = 0
    while (seconds > (durationBounds[bucket] ?? Infinity)) bucket += 1
    series.buckets[bucket] = (series.buckets[bucket] ?? 0) + exchange.weight
    series.sumSeconds += seconds * exchange.weight
    series.sumFirstByteSeconds +=
      (Math.max(0, exchange.firstByteNs - exchange.startNs) / 1e9) * exchange.weight
    series.requestBytes += exchange.requestBytes * exchange.weight
    series.responseBytes += exchange.responseBytes * exchange.weight
    const trace = parseTraceparent(exchange.traceparent)
    if (trace !== undefined)
      series.exemplars[bucket] = {
        ...{ traceId: trace.traceId, spanId: trace.parentId, seconds },
        atSeconds: exchange.endNs / 1e9 + unixOffsetSeconds,
      }
  }

  /** Ends the series of owners that are no more. */
  keep(owners: ReadonlySet<string>): void {
    for (const [owner, series] of this.#owners) {
      if (owners.has(owner)) continue
      this.#owners.delete(owner)
      this.#size -= series.size
      this.#recent.clear()
    }
  }

  #findNamed(owner: string, exchange: Exchange): RequestSeries | undefined {
    const series = this.#find(owner, exchange, false)
    if (series !== undefined) this.#recent.remember(owner, exchange, series)
    return series
  }

  #find(owner: string, exchange: Exchange, folded: boolean): RequestSeries | undefined {
    let series = this.#owners.get(owner)
    if (series === undefined) this.#owners.set(owner, (series = new Map<string, RequestSeries>()))
    const key = keyOf(exchange, folded)
    const found = series.get(key)
    if (found !== undefined) return found
    if (this.#size >= this.#bounds.maxSeries * (folded ? 2 : 1)) return undefined
    this.#size += 1
    const created: RequestSeries = {
      ...{ kind: kindOf(exchange), labels: labelsOf(exchange, folded) },
      ...{ sumSeconds: 0, sumFirstByteSeconds: 0 },
      ...{ buckets: new Float64Array(durationBounds.length + 1), exemplars: [] },
      ...{ requestBytes: 0, responseBytes: 0 },
    }
    series.set(key, created)
    return created
  }
}

function kindOf({ side, grpc }: Exchange): SeriesKind {
  return `${grpc === undefined ? 'http' : 'rpc'}_${side}`
}

/** Cheaper than the labels: made for each request. Those with equal keys have equal labels, and no others. */
function keyOf(exchange: Exchange, folded: boolean): string {
  const { side, method, route, status, version, scheme, grpc } = exchange
  if (grpc !== undefined)
    return `rpc ${side} ${folded ? other : (grpc.method ?? unknown)} ${grpc.status} ${whereOf(exchange, folded)}`
  const template = folded ? other : (route ?? unknown)
  return `${side} ${methodLabel(method)} ${status ?? ''} ${version} ${scheme} ${template} ${whereOf(exchange, folded)}`
}

function labelsOf(exchange: Exchange, folded: boolean): string {
  const { side, route, status, version, scheme, grpc } = exchange
  const where = whereOf(exchange, folded)
  if (grpc !== undefined) {
    const method = folded ? other : (grpc.method ?? unknown)
    const failed = grpc.status === 'OK' ? {} : { error_type: grpc.status }
    return joinLabels(
      renderLabels({
        rpc_system_name: 'grpc',
        rpc_method: method,
        rpc_response_status_code: grpc.status,
        ...failed,
      }),
      where,
    )
  }
  const template = folded ? other : (route ?? unknown)
  return joinLabels(
    renderLabels({
      http_request_method: methodLabel(exchange.method),
      ...(status === undefined ? {} : { http_response_status_code: String(status) }),
      ...(side === 'server' ? { http_route: template } : { url_template: template }),
      ...{ url_scheme: scheme, network_protocol_version: version },
      ...errorOf(side, status),
    }),
    where,
  )
}

/** Whom a client asked; empty for a server, whose Host header anybody can write. */
function whereOf({ side, authority, scheme }: Exchange, folded: boolean): string {
  return side === 'client' ? renderLabels(serverOf(folded ? undefined : authority, scheme)) : ''
}

/** What the conventions ask of `error.type`: a server's 4xx is no error of the server. */
function errorOf(side: Exchange['side'], status: number | undefined): { error_type?: string } {
  if (status === undefined) return { error_type: 'no_response' }
  return status >= (side === 'server' ? 500 : 400) ? { error_type: String(status) } : {}
}

export function serverOf(
  authority: string | undefined,
  scheme: string,
): { server_address: string; server_port: string } {
  const match = /^(\[[0-9a-f:.]{2,45}\]|[\w.-]{1,253})(?::(\d{1,5}))?$/i.exec(authority ?? '')
  if (match === null) return { server_address: authority === undefined ? unknown : other, server_port: '' }
  return {
    server_address: (match[1] ?? '').toLowerCase(),
    server_port: match[2] ?? (scheme === 'https' ? '443' : '80'),
  }
}

/** The parts of a traceparent header: https://www.w3.org/TR/trace-context/#traceparent-header. */
export interface TraceParent {
  readonly traceId: string
  readonly parentId: string
  readonly sampled: boolean
}

/** Undefined when there is none, or it is not valid. */
export function parseTraceparent(value: string | undefined): TraceParent | undefined {
  const match =
    value === undefined
      ? null
      : /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/.exec(value)
  if (match === null) return undefined
  const [, traceId = '', parentId = '', flags = ''] = match
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return undefined
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) !== 0 }
}
