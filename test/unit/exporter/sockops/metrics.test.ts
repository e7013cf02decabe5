import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { excludingCalls, fallbackReasons } from '../../../../src/exporter/core/sockops/layout.ts'
import type { SockopsReading } from '../../../../src/exporter/ebpf/sockops-program.ts'
import { SockopsMetrics } from '../../../../src/exporter/sockops/metrics.ts'

const none = Object.fromEntries(fallbackReasons.map((reason) => [reason, 0])) as SockopsReading['fallbacks']
const reading: SockopsReading = {
  ...{ messages: 10, bytes: 1000, connections: 4, containers: 2, open: 3, excluded: {} },
  fallbacks: { ...none, no_room: 2 },
}

async function lines(registry: Registry): Promise<string[]> {
  return (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

describe('the metrics of short-cut connections', () => {
  it('are absent while nothing is loaded', async () => {
    const registry = new Registry()
    const metrics = new SockopsMetrics(registry)
    expect(await lines(registry)).toEqual([])
    metrics.update(reading)
    metrics.update(undefined)
    expect(await lines(registry)).toEqual([])
  })

  it('name each call that excludes a container', async () => {
    const registry = new Registry()
    const metrics = new SockopsMetrics(registry)
    const excluded = Object.fromEntries(excludingCalls.map((call, index) => [call, index + 1]))
    metrics.update({ ...reading, excluded })
    const all = await lines(registry)
    for (const [call, count] of Object.entries(excluded))
      expect(all).toContain(`podsonar_sockops_excluded_containers{call="${call}"} ${count}`)
    metrics.update(reading)
    expect((await lines(registry)).filter((line) => line.includes('excluded_containers'))).toEqual([])
  })

  it('go on when the programs were loaded anew', async () => {
    const registry = new Registry()
    const metrics = new SockopsMetrics(registry)
    metrics.update(reading)
    metrics.update({ ...reading, messages: 15 })
    expect(await lines(registry)).toContain('podsonar_sockops_redirected_messages_total 15')
    metrics.update({ ...reading, messages: 2, bytes: 20, fallbacks: { ...none, no_room: 1 } })
    expect(await lines(registry)).toEqual(
      expect.arrayContaining([
        'podsonar_sockops_redirected_messages_total 17',
        'podsonar_sockops_redirected_bytes_total 1020',
        'podsonar_sockops_fallbacks_total{reason="no_room"} 3',
        'podsonar_sockops_connections 3',
        'podsonar_sockops_containers 2',
      ]),
    )
  })
})
