import { expect, it, describe } from 'vitest'
import { OtlpReceiver } from '../../../lab/otlp-receiver.ts'
import { waitFor } from '../../../lab/wait.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import type { Exchange } from '../../../src/exporter/core/requests/exchange.ts'
import { isTraced, type ExchangeSpan } from '../../../src/exporter/core/requests/spans.ts'
import { encodeSpans } from '../../../src/exporter/core/requests/spans.ts'
import { SpanExporter } from '../../../src/exporter/requests/span-exporter.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'

function exchange(rest: Partial<Exchange> = {}): Exchange {
  const now = Number(process.hrtime.bigint())
  return {
    ...{
      side: 'server',
      version: '1.1',
      method: 'GET',
      route: '/a/{number}',
      scheme: 'http',
      authority: 'shop:81',
    },
    ...{ status: 200, grpc: undefined, traceparent: undefined, requestBytes: 0, responseBytes: 5, weight: 1 },
    ...{ startNs: now - 3e6, firstByteNs: now - 2e6, endNs: now - 1e6, ...rest },
  }
}

function span(rest: Partial<Exchange> = {}): ExchangeSpan {
  return { owner: 'pod="web"', exchange: exchange(rest), remoteAddress: '10.0.0.7', remotePort: 4711 }
}

/** Sends these spans, as soon as the receiver takes them. */
async function sent(
  receiver: OtlpReceiver,
  spans: readonly ExchangeSpan[],
): Promise<Record<'exported' | 'dropped', number>> {
  const outcome = { exported: 0, dropped: 0 }
  let waiting = spans
  await using _exporter = new SpanExporter({
    encode: encodeSpans,
    endpoint: `${receiver.endpoint}/`,
    take: () => {
      const taken = waiting
      waiting = []
      return Promise.resolve(taken)
    },
    resourceOf: (owner) => ({ 'service.name': 'web', 'k8s.pod.name': owner }),
    onSpans: (what, count) => (outcome[what] += count),
    log: silentLogger,
  })
  await waitFor('the spans to be sent', () => outcome.exported + outcome.dropped === spans.length)
  return outcome
}

describe('spans of requests', () => {
  it('are what the protocol asks for, of servers and clients, HTTP and gRPC', async () => {
    await using receiver = await OtlpReceiver.start()
    const traceparent = `00-${traceId}-${parentId}-01`

    await sent(receiver, [
      span({ traceparent }),
      span({ side: 'client', status: 404 }),
      span({ status: undefined, method: 'PURGE' }),
      span({ version: '2', grpc: { method: 'a.B/Get', status: 'NOT_FOUND' } }),
    ])

    expect(receiver.faults).toEqual([])
    const [server, client, unanswered, call] = receiver.spans
    expect(server).toMatchObject({
      ...{
        traceId,
        parentSpanId: parentId,
        name: 'GET /a/{number}',
        kind: 'SPAN_KIND_SERVER',
        failed: false,
      },
      resource: { 'service.name': 'web', 'k8s.pod.name': 'pod="web"' },
      attributes: {
        'http.request.method': 'GET',
        'http.response.status_code': 200,
        'http.route': '/a/{number}',
        'http.request.body.size': 0,
        'network.peer.address': '10.0.0.7',
        'network.peer.port': 4711,
      },
    })
    expect(server?.end).toBe((server?.start ?? 0n) + 2_000_000n)
    expect(Math.abs(Number(server?.end) / 1e6 - Date.now())).toBeLessThan(60_000)
    expect(client).toMatchObject({
      ...{ parentSpanId: '', name: 'GET', kind: 'SPAN_KIND_CLIENT', failed: true },
      attributes: { 'server.address': 'shop', 'server.port': 81, 'url.template': '/a/{number}' },
    })
    expect(unanswered).toMatchObject({ name: 'HTTP /a/{number}', failed: true })
    expect(call).toMatchObject({
      ...{ name: 'a.B/Get', failed: true },
      attributes: {
        'rpc.method': 'a.B/Get',
        'rpc.response.status_code': 'NOT_FOUND',
        'rpc.system.name': 'grpc',
      },
    })
    expect(new Set(receiver.spans.map(({ spanId }) => spanId)).size).toBe(4)
  })

  it('are sent again when the receiver asks for it, and counted when it will not have them', async () => {
    await using receiver = await OtlpReceiver.start()
    receiver.failing = 2
    expect(await sent(receiver, [span()])).toEqual({ exported: 1, dropped: 0 })
    receiver.failing = 10
    expect(await sent(receiver, [span(), span()])).toEqual({ exported: 0, dropped: 2 })
    expect(receiver.spans.length).toBe(1)
  })

  it('follow the sampling of their trace, else the ratio', () => {
    const of = (flags: string): Exchange => exchange({ traceparent: `00-${traceId}-${parentId}-${flags}` })
    expect(isTraced(of('01'), 0, 0.5)).toBe(true)
    expect(isTraced(of('00'), 1, 0.5)).toBe(false)
    expect(isTraced(exchange(), 0.6, 0.5)).toBe(true)
    expect(isTraced(exchange({ traceparent: 'none' }), 0.4, 0.5)).toBe(false)
  })
})
