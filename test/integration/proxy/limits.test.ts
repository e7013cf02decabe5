import { request as httpRequest, type IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { waitFor } from '../../../lab/wait.ts'
import { get, ProxyWorld } from '../../support/proxy-world.ts'

describe('the cap on bytes', () => {
  it('cuts a body that grows over it, so that nobody takes half a page for a whole one', async () => {
    await using world = await ProxyWorld.start({ settings: { MAX_SCRAPE_BYTES: '100000' } })
    const kubelet = await world.addKubelet('node-1')
    await expect(world.scrape('127.0.0.1', kubelet.port)).rejects.toThrow(/aborted|hang up|ECONNRESET/)
    const small = await world.scrape('127.0.0.1', kubelet.port, { headers: { 'accept-encoding': 'gzip' } })
    expect(small.status).toBe(200)
    expect(await world.ops('/metrics')).toContain(
      'podsonar_proxy_requests_total{node="node-1",code="upstream_too_large"} 1',
    )
    await waitFor('no scrape to run', () => kubelet.running === 0)
  })
})

describe('the caps on scrapes in flight', () => {
  it('tell a client to come again, and keep places for other nodes', async () => {
    const settings = { MAX_IN_FLIGHT: '3', MAX_IN_FLIGHT_PER_NODE: '2' }
    await using world = await ProxyWorld.start({ settings })
    const one = await world.addKubelet('node-1', '127.0.0.1')
    const two = await world.addKubelet('node-2', '127.0.0.2')
    one.behaviour = 'hang'
    const wait = { headers: { 'x-prometheus-scrape-timeout-seconds': '20' } }
    const hanging = [1, 2].map(() => world.scrape('127.0.0.1', one.port, wait))
    await waitFor('both to hang', () => one.running === 2)

    const refused = await world.scrape('127.0.0.1', one.port)
    expect([refused.status, refused.error, refused.headers['retry-after']]).toEqual([503, 'busy', '5'])
    expect((await world.scrape('127.0.0.2', two.port)).status).toBe(200)
    two.behaviour = 'hang'
    hanging.push(world.scrape('127.0.0.2', two.port, wait))
    await waitFor('the third to hang', () => two.running === 1)
    expect((await world.scrape('127.0.0.2', two.port)).error).toBe('busy')

    expect((await Promise.all(hanging)).map(({ status }) => status)).toEqual([504, 504, 504])
    one.behaviour = 'answer'
    expect((await world.scrape('127.0.0.1', one.port)).status).toBe(200)
  })
})

describe('a client that does not read', () => {
  it('holds the kubelet back, and gets all when it reads again', async () => {
    await using world = await ProxyWorld.start({ settings: { PROXY_PATHS: '/metrics' } })
    const page = 'podsonar_test_metric_with_a_name 1\n'.repeat(1_500_000)
    const kubelet = await world.addKubelet('node-1', '127.0.0.1', { '/metrics': page })
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const path = `/api/v1/nodes/127.0.0.1:${kubelet.port}/metrics`
      const headers = { 'x-prometheus-scrape-timeout-seconds': '60' }
      httpRequest({ host: '127.0.0.1', port: world.proxy.port, path, headers }, resolve)
        .on('error', reject)
        .end()
    })
    const unsent = (): number => [...kubelet.open.keys()][0]?.writableLength ?? 0
    let before = -1
    await waitFor(
      'the kubelet to be held back',
      () => {
        const now = unsent()
        const still = now === before
        before = now
        return still && now > 0
      },
      { everyMs: 500 },
    )
    expect(unsent()).toBeGreaterThan(page.length / 2)
    let received = 0
    for await (const chunk of response) received += (chunk as Buffer).length
    expect(received).toBe(page.length)
  })

  it('is cut at the deadline', async () => {
    await using world = await ProxyWorld.start({ settings: { PROXY_PATHS: '/metrics' } })
    const page = 'podsonar_test_metric_with_a_name 1\n'.repeat(1_500_000)
    const kubelet = await world.addKubelet('node-1', '127.0.0.1', { '/metrics': page })
    const path = `/api/v1/nodes/127.0.0.1:${kubelet.port}/metrics`
    const headers = { 'x-prometheus-scrape-timeout-seconds': '1' }
    const request = httpRequest({ host: '127.0.0.1', port: world.proxy.port, path, headers }).end()
    request.on('error', () => undefined)
    await new Promise((resolve) => request.on('response', resolve))
    await waitFor('the kubelet to be rid of it', () => kubelet.running === 0)
    expect((await get(world.proxy.opsPort, '/metrics')).body.toString()).toContain(
      'code="upstream_timeout"} 1',
    )
    request.destroy()
  })
})

describe('many large pages at once', () => {
  it('all come to their end', async () => {
    await using world = await ProxyWorld.start({ settings: { PROXY_PATHS: '/metrics' } })
    const page = 'podsonar_test_metric_with_a_name 1\n'.repeat(150_000)
    const kubelet = await world.addKubelet('node-1', '127.0.0.1', { '/metrics': page })
    const path = `/api/v1/nodes/127.0.0.1:${kubelet.port}/metrics`
    const headers = { 'x-prometheus-scrape-timeout-seconds': '60' }
    for (let round = 0; round < 12; round += 1) {
      const answers = await Promise.all([1, 2, 3, 4].map(() => get(world.proxy.port, path, { headers })))
      expect(answers.map(({ body }) => body.length)).toEqual([1, 2, 3, 4].map(() => page.length))
    }
  })
})
