/** Receives spans by OTLP/HTTP as a collector does, and takes only what the protocol allows. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'

const definition = fileURLToPath(new URL('proto/otlp-trace.proto', import.meta.url))

/** A span as it came, with the attributes of its resource. */
export interface ReceivedSpan {
  readonly resource: Readonly<Record<string, string | number>>
  /** Hexadecimal; `parentSpanId` is empty for a root. */
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: 'SPAN_KIND_SERVER' | 'SPAN_KIND_CLIENT'
  /** Unix time in nanoseconds. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, string | number>>
  readonly failed: boolean
}

interface Pair {
  readonly key: string
  readonly value: Readonly<Record<string, string | number>>
}

interface Request {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Pair[] }
    readonly scopeSpans: readonly { readonly spans: readonly RawSpan[] }[]
  }[]
}

interface RawSpan {
  readonly traceId: Buffer
  readonly spanId: Buffer
  readonly parentSpanId?: Buffer
  readonly name: string
  readonly kind: ReceivedSpan['kind']
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes?: readonly Pair[]
  readonly status?: { readonly code?: string }
}

export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = []
  /** What was wrong with requests that were refused. */
  readonly faults: string[] = []
  /** How many requests are answered with 503 from now on. */
  failing = 0
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<OtlpReceiver> {
    const type = (await protobuf.load(definition)).lookupType('otlp.ExportTraceServiceRequest')
    const server = createServer((request, response) => {
      void receiver.#receive(type, request).then((status) => {
        response.writeHead(status).end()
      })
    })
    const receiver = new OtlpReceiver(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return receiver
  }

  /** As OTEL_EXPORTER_OTLP_ENDPOINT takes it. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #receive(type: protobuf.Type, request: IncomingMessage): Promise<number> {
    const body = Buffer.concat((await request.toArray()) as Buffer[])
    if (this.failing > 0) {
      this.failing -= 1
      return 503
    }
    try {
      if (request.method !== 'POST' || request.url !== '/v1/traces')
        throw new Error(`${request.method ?? ''} ${request.url ?? ''}`)
      if (request.headers['content-type'] !== 'application/x-protobuf')
        throw new Error('not a protocol buffer')
      const message = type.decode(body)
      // Unknown fields are lost in decoding: what comes out must be what came in.
      if (!body.equals(type.encode(message).finish()))
        throw new Error('fields that the protocol does not have')
      const { resourceSpans } = type.toObject(message, {
        enums: String,
        longs: String,
        arrays: true,
      }) as Request
      const spans = resourceSpans.flatMap(spansOf)
      this.spans.push(...spans)
      return 200
    } catch (error) {
      this.faults.push(String(error))
      return 400
    }
  }
}

function spansOf({ resource, scopeSpans }: Request['resourceSpans'][number]): ReceivedSpan[] {
  return scopeSpans.flatMap(({ spans }) =>
    spans.map((span) => received(span, attributesOf(resource.attributes))),
  )
}

function received(span: RawSpan, resource: ReceivedSpan['resource']): ReceivedSpan {
  const { traceId, spanId, parentSpanId, name, kind } = span
  const [start, end] = [BigInt(span.startTimeUnixNano), BigInt(span.endTimeUnixNano)]
  if (traceId.length !== 16 || traceId.every((octet) => octet === 0))
    throw new Error('a trace id that is none')
  if (spanId.length !== 8 || spanId.every((octet) => octet === 0)) throw new Error('a span id that is none')
  if (![0, 8].includes(parentSpanId?.length ?? 0)) throw new Error('a parent that is no span id')
  if (name === '' || start > end) throw new Error('a span without a name, or that ends before it begins')
  return {
    ...{ resource, name, kind, start, end },
    ...{ traceId: traceId.toString('hex'), spanId: spanId.toString('hex') },
    parentSpanId: parentSpanId?.toString('hex') ?? '',
    attributes: attributesOf(span.attributes ?? []),
    failed: span.status?.code === 'STATUS_CODE_ERROR',
  }
}

function attributesOf(pairs: readonly Pair[]): Record<string, string | number> {
  const keys = pairs.map(({ key }) => key)
  if (new Set(keys).size !== keys.length) throw new Error(`an attribute twice: ${keys.join(', ')}`)
  return Object.fromEntries(
    pairs.map(({ key, value }) => {
      const [type, content = ''] = Object.entries(value)[0] ?? []
      if (type === undefined) throw new Error(`an attribute without a value: ${key}`)
      return [key, type === 'intValue' ? Number(content) : content]
    }),
  )
}
