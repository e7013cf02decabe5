import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { freePorts } from '../../../lab/ports.ts'
import { ProxyWorld, get, token } from '../../support/proxy-world.ts'

const page = await readFile(new URL('../../fixtures/kubelet/metrics-cadvisor-1.20.txt', import.meta.url))

describe('a scrape through the proxy', () => {
  let world: ProxyWorld
  let kubelet: SimulatedKubelet

  beforeAll(async () => {
    world = await ProxyWorld.start()
    kubelet = await world.addKubelet('node-1')
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
  })

  it("gives the kubelet's page, byte for byte, and shows the kubelet the token", async () => {
    const answer = await world.scrape('127.0.0.1', kubelet.port)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(answer.body.equals(page)).toBe(true)
    expect(kubelet.authorizations.at(-1)).toBe(`Bearer ${token}`)
  })

  it('leaves gzip as it is', async () => {
    const answer = await world.scrape('127.0.0.1', kubelet.port, { headers: { 'accept-encoding': 'gzip' } })
    expect(answer.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(answer.body).equals(page)).toBe(true)
  })

  it("keeps the client's credentials and identity to itself", async () => {
    const headers = {
      authorization: 'Bearer theirs',
      cookie: 'a=b',
      'impersonate-user': 'root',
      host: 'evil',
    }
    await world.scrape('127.0.0.1', kubelet.port, { headers: { ...headers, 'user-agent': 'Prometheus' } })
    expect(kubelet.requests.at(-1)).toMatchObject({ method: 'GET', url: '/metrics/cadvisor' })
    expect(kubelet.requests.at(-1)?.headers).toEqual({
      host: `127.0.0.1:${kubelet.port}`,
      authorization: `Bearer ${token}`,
      'user-agent': 'Prometheus',
      connection: 'keep-alive',
    })
  })

  it('serves a node by its IPv6 address too', async ({ skip }) => {
    const certificate = await world.ca.issue({ commonName: 'node-6', ips: ['::1'] })
    const v6 = await SimulatedKubelet.start({ address: '::1', token, certificate }).catch(() => undefined)
    if (v6 === undefined) {
      skip('this machine has no IPv6')
      return
    }
    world.own(v6)
    world.addNode('node-6', ['10.9.9.9', '::1'], v6.port)
    for (const host of ['[::1]', '%5B::1%5D']) expect((await world.scrape(host, v6.port)).status).toBe(200)
  })

  it('does not follow a redirect', async () => {
    kubelet.behaviour = 'redirect'
    const seen = kubelet.requests.length
    const answer = await world.scrape('127.0.0.1', kubelet.port)
    kubelet.behaviour = 'answer'
    expect([answer.status, answer.error, answer.headers.location]).toEqual([
      502,
      'upstream_redirect',
      undefined,
    ])
    expect(kubelet.requests.length).toBe(seen + 1)
  })

  it.each(['unauthorized', 'forbidden'] as const)(
    'says so when the kubelet finds it %s',
    async (behaviour) => {
      kubelet.behaviour = behaviour
      const answer = await world.scrape('127.0.0.1', kubelet.port)
      kubelet.behaviour = 'answer'
      expect([answer.status, answer.error]).toEqual([502, 'upstream_auth'])
      expect(answer.body.toString()).not.toContain(token)
    },
  )

  it('says in time that a kubelet does not answer', async () => {
    kubelet.behaviour = 'hang'
    const answer = await world.scrape('127.0.0.1', kubelet.port, {
      headers: { 'x-prometheus-scrape-timeout-seconds': '1' },
    })
    kubelet.behaviour = 'answer'
    expect([answer.status, answer.error]).toEqual([504, 'upstream_timeout'])
  })

  it('says which node cannot be reached', async () => {
    const [port = 0] = await freePorts(1)
    world.addNode('dead', ['127.0.0.77'], port)
    const answer = await world.scrape('127.0.0.77', port)
    expect([answer.status, answer.error]).toEqual([502, 'upstream_unreachable'])
    expect(answer.body.toString()).toContain('dead (127.0.0.77:')
  })

  it('dials nothing but known nodes, on their port, with GET', async () => {
    let dialled = 0
    const trap = createServer(() => (dialled += 1))
    await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve))
    const { port } = trap.address() as { port: number }
    const seen = kubelet.requests.length
    expect((await world.scrape('127.0.0.9', kubelet.port)).error).toBe('unknown_node')
    expect((await world.scrape('127.0.0.1', port)).error).toBe('port_not_allowed')
    const path = (rest: string): string => `/api/v1/nodes/127.0.0.1:${kubelet.port}${rest}`
    expect((await get(world.proxy.port, path('/pods'))).error).toBe('not_found')
    expect((await get(world.proxy.port, path('/metrics'))).error).toBe('not_found')
    const post = await world.scrape('127.0.0.1', kubelet.port, { method: 'POST' })
    expect([post.status, post.error, post.headers.allow]).toEqual([405, 'method_not_allowed', 'GET'])
    expect([dialled, kubelet.requests.length]).toEqual([0, seen])
    await new Promise((resolve) => trap.close(resolve))
  })

  it('serves no ops route on the scrape port, and no scrape route on the ops port', async () => {
    for (const path of ['/metrics', '/healthz', '/readyz', '/'])
      expect((await get(world.proxy.port, path)).status).toBe(404)
    const path = `/api/v1/nodes/127.0.0.1:${kubelet.port}/metrics/cadvisor`
    expect((await get(world.proxy.opsPort, path)).status).toBe(404)
  })
})

describe('TLS to kubelets', () => {
  it('sends no token to a kubelet that another authority vouches for', async () => {
    await using world = await ProxyWorld.start()
    await using other = await CertificateAuthority.create('another CA')
    const certificate = await other.issue({ commonName: 'node-1', dns: ['node-1'], ips: ['127.0.0.1'] })
    const kubelet = world.own(await SimulatedKubelet.start({ token, certificate }))
    world.addNode('node-1', ['127.0.0.1'], kubelet.port)
    const answer = await world.scrape('127.0.0.1', kubelet.port)
    expect([answer.status, answer.error]).toEqual([502, 'upstream_tls'])
    expect(answer.body.toString()).toContain('KUBELET_CERTIFICATE_AUTHORITY and KUBELET_INSECURE_TLS')
    expect(kubelet.requests).toEqual([])
  })

  it('sends no token to a kubelet whose certificate names another node', async () => {
    await using world = await ProxyWorld.start()
    const certificate = await world.ca.issue({ commonName: 'x', dns: ['node-2'], ips: ['127.0.0.2'] })
    const kubelet = world.own(await SimulatedKubelet.start({ token, certificate }))
    world.addNode('node-1', ['127.0.0.1'], kubelet.port)
    expect((await world.scrape('127.0.0.1', kubelet.port)).error).toBe('upstream_tls')
    expect(kubelet.requests).toEqual([])
  })

  it('takes a certificate that names the address, for a node whose name is an address too', async () => {
    await using world = await ProxyWorld.start()
    const certificate = await world.ca.issue({ commonName: 'x', ips: ['127.0.0.1'] })
    const kubelet = world.own(await SimulatedKubelet.start({ token, certificate }))
    for (const name of ['node-1', '127.0.0.1']) {
      world.nodes.replace([])
      world.addNode(name, ['127.0.0.1'], kubelet.port)
      expect((await world.scrape('127.0.0.1', kubelet.port)).status).toBe(200)
    }
  })

  it('verifies nothing only where that is set', async () => {
    const settings = { KUBELET_CERTIFICATE_AUTHORITY: '', KUBELET_INSECURE_TLS: 'true' }
    await using world = await ProxyWorld.start({ settings })
    await using other = await CertificateAuthority.create('another CA')
    const certificate = await other.issue({ commonName: 'whoever' })
    const kubelet = world.own(await SimulatedKubelet.start({ token, certificate }))
    world.addNode('node-1', ['127.0.0.1'], kubelet.port)
    expect((await world.scrape('127.0.0.1', kubelet.port)).status).toBe(200)
  })
})

describe('readiness', () => {
  it('dials nothing before the nodes are known', async () => {
    await using world = await ProxyWorld.start()
    const kubelet = await world.addKubelet('node-1')
    expect(JSON.parse(await world.ops('/readyz'))).toMatchObject({ ready: true })
    world.nodes.fail('connection refused')
    expect(JSON.parse(await world.ops('/readyz'))).toMatchObject({
      ready: true,
      notes: { nodes: 'connection refused' },
    })
    expect((await world.scrape('127.0.0.1', kubelet.port)).status).toBe(200)
  })
})
