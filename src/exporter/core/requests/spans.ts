/**
 * Exchanges as spans of OpenTelemetry, in OTLP's protocol buffers: opentelemetry/proto/trace/v1/trace.proto and
 * collector/trace/v1/trace_service.proto; names and attributes as the HTTP and RPC conventions have them.
 */
import type { Exchange } from './exchange.ts'
import { methodLabel } from './method.ts'
import { ProtobufWriter } from './protobuf-writer.ts'
import { parseTraceparent, serverOf } from './series.ts'

/** An exchange that becomes a span, and whose it is. */
export interface ExchangeSpan {
  /** As in WatchedCgroup: rendered labels of the container. */
  readonly owner: string
  readonly exchange: Exchange
  /** The other end of the connection. */
  readonly remoteAddress: string
  readonly remotePort: number
}

export type Attributes = Readonly<Record<string, string | number>>

const spanKind = { server: 2, client: 3 } as const
const statusError = 2

/**
 * Whether an exchange becomes a span: one that belongs to a trace as that trace has decided, others by `ratio`.
 *
 * @param random from 0 to 1
 */
export function isTraced({ traceparent }: Exchange, ratio: number, random: number): boolean {
  return parseTraceparent(traceparent)?.sampled ?? random < ratio
}

export interface EncodeOptions {
  /** Attributes of the resource that an owner is. */
  readonly resourceOf: (owner: string) => Attributes
  /** What CLOCK_MONOTONIC is short of Unix time, in nanoseconds. */
  readonly unixOffsetNs: bigint
  /** Fills it with random octets. */
  readonly random: (into: Uint8Array) => Uint8Array
  readonly version: string
}

/** An ExportTraceServiceRequest. */
export function encodeSpans(spans: readonly ExchangeSpan[], options: EncodeOptions): Uint8Array<ArrayBuffer> {
  const request = new ProtobufWriter()
  for (const [owner, own] of Map.groupBy(spans, (span) => span.owner))
    request.message(1, (resourceSpans) =>
      resourceSpans
        .message(1, (resource) => {
          writeAttributes(resource, 1, options.resourceOf(owner))
        })
        .message(2, (scopeSpans) => {
          scopeSpans.message(1, (scope) => scope.text(1, 'podsonar').text(2, options.version))
          for (const span of own)
            scopeSpans.message(2, (writer) => {
              writeSpan(writer, span, options)
            })
        }),
    )
  return request.finish()
}

function writeSpan(span: ProtobufWriter, { exchange, ...peer }: ExchangeSpan, options: EncodeOptions): void {
  const { unixOffsetNs, random } = options
  const { side, grpc, status, route, method } = exchange
  const parent = parseTraceparent(exchange.traceparent)
  const at = (ns: number): bigint => BigInt(Math.round(ns)) + unixOffsetNs
  const target = exchange.route === undefined || side === 'client' ? '' : ` ${exchange.route}`
  span
    .bytes(1, parent === undefined ? random(new Uint8Array(16)) : Buffer.from(parent.traceId, 'hex'))
    .bytes(2, random(new Uint8Array(8)))
    .bytes(4, parent === undefined ? new Uint8Array(0) : Buffer.from(parent.parentId, 'hex'))
    .text(5, grpc === undefined ? `${spanMethod(method)}${target}` : (grpc.method ?? 'grpc'))
    .varint(6, spanKind[side])
    .fixed64(7, at(exchange.startNs))
    .fixed64(8, at(Math.max(exchange.startNs, exchange.endNs)))
  writeAttributes(span, 9, attributesOf(exchange, route, peer))
  if (status !== undefined)
    span.message(11, (event) =>
      event.fixed64(1, at(exchange.firstByteNs)).text(2, 'first byte of the response'),
    )
  if (isFailed(exchange)) span.message(15, (outcome) => outcome.varint(3, statusError))
}

/** Methods that the conventions do not name are `HTTP` in names of spans. */
function spanMethod(method: string): string {
  const label = methodLabel(method)
  return label === '_OTHER' ? 'HTTP' : label
}

function isFailed({ side, status, grpc }: Exchange): boolean {
  if (grpc !== undefined) return grpc.status !== 'OK'
  return status === undefined || status >= (side === 'server' ? 500 : 400)
}

function attributesOf(
  exchange: Exchange,
  route: string | undefined,
  { remoteAddress, remotePort }: Pick<ExchangeSpan, 'remoteAddress' | 'remotePort'>,
): Attributes {
  const { side, grpc, status, version, scheme, authority, requestBytes, responseBytes } = exchange
  const peer = {
    'network.peer.address': remoteAddress,
    'network.peer.port': remotePort,
    'network.protocol.version': version,
  }
  const server = side === 'client' ? serverOf(authority, scheme) : undefined
  const where =
    server === undefined
      ? {}
      : {
          'server.address': server.server_address,
          ...(server.server_port === '' ? {} : { 'server.port': Number(server.server_port) }),
        }
  if (grpc !== undefined)
    return {
      'rpc.system.name': 'grpc',
      ...(grpc.method === undefined ? {} : { 'rpc.method': grpc.method }),
      'rpc.response.status_code': grpc.status,
      ...where,
      ...peer,
    }
  return {
    'http.request.method': methodLabel(exchange.method),
    ...(status === undefined ? { 'error.type': 'no_response' } : { 'http.response.status_code': status }),
    ...(route === undefined ? {} : { [side === 'server' ? 'http.route' : 'url.template']: route }),
    'url.scheme': scheme,
    'http.request.body.size': requestBytes,
    'http.response.body.size': responseBytes,
    ...where,
    ...peer,
  }
}

/** KeyValue and AnyValue of opentelemetry/proto/common/v1/common.proto. */
export function writeAttributes(writer: ProtobufWriter, field: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes))
    writer.message(field, (pair) =>
      pair.text(1, key).message(2, (any) => {
        if (typeof value === 'string') any.text(1, value, true)
        else any.varint(3, value, true)
      }),
    )
}
