import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import type { PodRecord } from '../../../src/kubernetes/records.ts'
import { get, ProxyWorld } from '../../support/proxy-world.ts'

function podAt(ip: string, port: number): PodRecord {
  return {
    uid: 'p1',
    namespace: 'shop',
    name: 'web-0',
    ip,
    otherIps: [],
    hostNetwork: false,
    nodeName: 'node-1',
    phase: 'Running',
    ready: true,
    terminating: false,
    annotations: {
      'prometheus.io/scrape': 'true',
      'prometheus.io/port': String(port),
      'prometheus.io/param_module': 'http 2xx',
    },
    labels: {},
    ports: [],
    owner: undefined,
  }
}

it('a pod that is a target is scraped as it declares, without credentials, and nothing else is', async () => {
  await using world = await ProxyWorld.start({ settings: { POD_PROXY: 'true' } })
  const seen: Pick<IncomingMessage, 'url' | 'headers'>[] = []
  const pod = createServer(({ url, headers }, response) => {
    seen.push({ url, headers })
    response.end('a 1\n')
  })
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve))
  const { port } = pod.address() as AddressInfo
  const scrape = (path: string) =>
    get(world.proxy.port, `/api/v1/namespaces/shop/pods/${path}`, {
      headers: { authorization: 'Bearer theirs', cookie: 'a=b' },
    })

  expect((await scrape(`web-0:${port}/metrics`)).error).toBe('unknown_pod')
  world.pods.put(podAt('127.0.0.1', port))
  const answer = await scrape(`web-0:${port}/metrics?module=evil&target=http://10.0.0.1/`)
  expect([answer.status, answer.body.toString()]).toEqual([200, 'a 1\n'])
  expect(seen[0]?.url).toBe('/metrics?module=http+2xx')
  expect(Object.keys(seen[0]?.headers ?? {})).toEqual(['host', 'connection'])
  expect((await scrape(`web-0:${port}/admin`)).error).toBe('path_not_allowed')
  expect((await scrape(`web-0:${port + 1}/metrics`)).error).toBe('port_not_allowed')
  expect((await scrape(`web-1:${port}/metrics`)).error).toBe('unknown_pod')
  world.pods.remove('p1')
  expect((await scrape(`web-0:${port}/metrics`)).error).toBe('unknown_pod')
  expect(seen).toHaveLength(1)
  expect(await world.ops('/metrics')).toContain('podsonar_proxy_pod_requests_total{code="ok"} 1')
  pod.closeAllConnections()
  await new Promise((resolve) => pod.close(resolve))
})

it('no pod is scraped unless that is set', async () => {
  await using world = await ProxyWorld.start()
  world.pods.put(podAt('127.0.0.1', 1))
  const answer = await get(world.proxy.port, '/api/v1/namespaces/shop/pods/web-0:1/metrics')
  expect([answer.status, answer.error]).toEqual([404, 'not_found'])
})
