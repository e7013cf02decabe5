import { describe, expect, it } from 'vitest'
import { isChosen } from '../../../../../src/exporter/core/requests/choose.ts'
import type { Exchange } from '../../../../../src/exporter/core/requests/exchange.ts'
import { RequestCounts } from '../../../../../src/exporter/core/requests/series.ts'
import { pod } from '../../../../support/containers.ts'

function exchange(rest: Partial<Exchange> = {}): Exchange {
  return {
    ...{ side: 'server', version: '1.1', method: 'GET', route: '/a', scheme: 'http', authority: 'shop:80' },
    ...{ status: 200, grpc: undefined, traceparent: undefined, startNs: 0, firstByteNs: 1e6, endNs: 2e6 },
    ...{ requestBytes: 1, responseBytes: 2, weight: 1, ...rest },
  }
}

function labelsOf(counts: RequestCounts): string[] {
  return [...counts.owners.values()].flatMap((series) => [...series.values()].map(({ labels }) => labels))
}

describe('the series of requests', () => {
  it("have OpenTelemetry's labels", () => {
    const counts = new RequestCounts({ maxSeries: 10 })
    counts.add('owner', exchange({ status: 503, method: 'PURGE' }), 0)
    counts.add('owner', exchange({ side: 'client', status: 404 }), 0)
    counts.add('owner', exchange({ status: undefined, route: undefined, version: '2' }), 0)
    counts.add('owner', exchange({ grpc: { method: 'a.B/C', status: 'NOT_FOUND' } }), 0)

    expect(labelsOf(counts)).toEqual([
      'http_request_method="_OTHER",http_response_status_code="503",http_route="/a",url_scheme="http",network_protocol_version="1.1",error_type="503"',
      'http_request_method="GET",http_response_status_code="404",url_template="/a",url_scheme="http",network_protocol_version="1.1",error_type="404",server_address="shop",server_port="80"',
      'http_request_method="GET",http_route="~unknown",url_scheme="http",network_protocol_version="2",error_type="no_response"',
      'rpc_system_name="grpc",rpc_method="a.B/C",rpc_response_status_code="NOT_FOUND",error_type="NOT_FOUND"',
    ])
  })

  it('count times, sizes and those that one stands for', () => {
    const counts = new RequestCounts({ maxSeries: 10 })
    counts.add('owner', exchange({ weight: 4 }), 0)
    counts.add('owner', exchange({ endNs: 20e9 }), 0)

    const [series] = counts.owners.get('owner')?.values() ?? []
    expect(series?.buckets[0]).toBe(4)
    expect(series?.buckets.at(-1)).toBe(1)
    expect(series).toMatchObject({ requestBytes: 5, responseBytes: 10 })
    expect(series?.sumSeconds).toBeCloseTo(20.008)
    expect(series?.sumFirstByteSeconds).toBeCloseTo(0.005)
  })

  it('keep the trace of a request of each bucket', () => {
    const counts = new RequestCounts({ maxSeries: 10 })
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    counts.add('owner', exchange({ traceparent: `00-${traceId}-b7ad6b7169203331-01` }), 1_000)
    counts.add('owner', exchange({ traceparent: `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, endNs: 8e9 }), 0)

    const [series] = counts.owners.get('owner')?.values() ?? []
    expect(series?.exemplars).toEqual([
      { traceId, spanId: 'b7ad6b7169203331', seconds: 0.002, atSeconds: 1_000.002 },
    ])
  })

  it('are told apart by all that is in their labels, and by nothing else, also when alike ones came before', () => {
    const counts = new RequestCounts({ maxSeries: 100 })
    const others: Partial<Exchange>[] = [
      ...[
        {},
        { method: 'POST' },
        { status: 404 },
        { status: undefined },
        { version: '1.0' },
        { route: '/b' },
      ],
      ...[{ scheme: 'https' as const }, { route: undefined }, { side: 'client' as const }],
      ...[{ side: 'client' as const, authority: 'other' }, { grpc: { method: 'a.B/C', status: 'OK' } }],
      ...[{ grpc: { method: 'a.B/D', status: 'OK' } }, { grpc: { method: 'a.B/C', status: 'NOT_FOUND' } }],
    ]
    for (let round = 0; round < 3; round += 1)
      for (const owner of ['one', 'two']) {
        for (const rest of others) counts.add(owner, exchange(rest), 0)
        // In no label of a server; and the same port, said or not.
        counts.add(owner, exchange({ authority: 'any' }), 0)
        counts.add(owner, exchange({ side: 'client', authority: 'shop' }), 0)
      }

    for (const owner of ['one', 'two']) {
      const series = [...(counts.owners.get(owner)?.values() ?? [])]
      expect(series).toHaveLength(others.length)
      expect(new Set(series.map(({ kind, labels }) => `${kind} ${labels}`)).size).toBe(others.length)
      expect(series.map(({ buckets }) => buckets[0]).sort()).toEqual([
        ...Array<number>(others.length - 2).fill(3),
        ...[6, 6],
      ])
    }
    counts.keep(new Set(['two']))
    counts.add('one', exchange(), 0)
    expect(counts.owners.get('one')?.size).toBe(1)
  })

  it('fold what varies when there are too many, then count what is left out', () => {
    const counts = new RequestCounts({ maxSeries: 10 })
    for (let k = 0; k < 1_000; k += 1)
      counts.add('owner', exchange({ route: `/r${k}`, status: 200 + (k % 100), weight: 2 }), 0)

    expect(labelsOf(counts).length).toBe(20)
    expect(labelsOf(counts).filter((labels) => labels.includes('http_route="~other"')).length).toBe(10)
    expect(new Set(labelsOf(counts)).size).toBe(20)
    expect(counts.folded).toBe(990 * 2)
    expect(counts.dropped).toBeGreaterThan(0)
  })

  it('give every series labels of its own, whatever a client calls its server', () => {
    const counts = new RequestCounts({ maxSeries: 100 })
    for (const authority of ['a', 'A', 'a:80', 'b c', '"x"', '\n', undefined, '[::1]:8080', 'x'.repeat(300)])
      counts.add('owner', exchange({ side: 'client', authority }), 0)

    const labels = labelsOf(counts)
    expect(new Set(labels).size).toBe(labels.length)
    expect(labels.length).toBe(4)
  })

  it('end with their owner, and make room', () => {
    const counts = new RequestCounts({ maxSeries: 1 })
    counts.add('gone', exchange(), 0)
    counts.keep(new Set(['here']))
    counts.add('here', exchange(), 0)

    expect([...counts.owners.keys()]).toEqual(['here'])
    expect(counts.folded).toBe(0)
  })
})

describe('the choice of pods', () => {
  const choice = { namespaces: ['shop'], selector: [{ label: 'app', values: ['web'], negated: false }] }
  const none = { namespaces: undefined, selector: undefined }

  it('is nobody, unless told', () => {
    expect(isChosen(none, pod('a'))).toBe(false)
  })

  it('follows the annotation before everything', () => {
    expect(isChosen(none, pod('a', { annotations: { 'podsonar.io/observe': 'true' } }))).toBe(true)
    const labels = { app: 'web' }
    const annotations = { 'podsonar.io/observe': 'false' }
    expect(isChosen(choice, pod('a', { namespace: 'shop', labels, annotations }))).toBe(false)
  })

  it('wants namespace and labels where both are set', () => {
    expect(isChosen(choice, pod('a', { namespace: 'shop', labels: { app: 'web' } }))).toBe(true)
    expect(isChosen(choice, pod('a', { namespace: 'shop' }))).toBe(false)
    expect(isChosen(choice, pod('a', { labels: { app: 'web' } }))).toBe(false)
    expect(isChosen({ ...choice, namespaces: ['*'] }, pod('a', { labels: { app: 'web' } }))).toBe(true)
    expect(isChosen({ ...none, namespaces: ['default'] }, pod('a'))).toBe(true)
  })
})
