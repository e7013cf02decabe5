/**
 * The faults of http-proxy, each tried on podsonar's proxy and on http-proxy used naively: that the second one fails
 * shows that the first one's pass means something.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { waitFor } from '../../../lab/wait.ts'
import { startNaiveProxy } from '../../support/naive-proxy.ts'
import { Raw } from '../../support/raw-connection.ts'
import { ProxyWorld, token } from '../../support/proxy-world.ts'

let world: ProxyWorld
let kubelet: SimulatedKubelet
let naive: Awaited<ReturnType<typeof startNaiveProxy>>

beforeAll(async () => {
  world = await ProxyWorld.start()
  const certificate = await world.ca.issue({ commonName: 'node-1', dns: ['node-1'], ips: ['127.0.0.1'] })
  const { SimulatedKubelet: Kubelet } = await import('../../../lab/kubelet.ts')
  kubelet = world.own(await Kubelet.start({ token, certificate }))
  world.addNode('node-1', ['127.0.0.1'], kubelet.port)
  naive = await startNaiveProxy(world.ca.certificateFile, token)
  world.own(naive.process)
})
beforeEach(() => {
  kubelet.behaviour = 'answer'
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
})

/** A GET of the node's page, with further header lines, on a connection of its own. */
function rawGet(port: number, ...headers: readonly string[]): Raw {
  return new Raw(port).request('GET', page(), ...headers)
}

const page = (): string => `/api/v1/nodes/127.0.0.1:${kubelet.port}/metrics/cadvisor`
const ours = (): number => world.proxy.port
const theirs = (): number => naive.port

/** Waits a moment in which nothing may happen, by letting another scrape go all the way through. */
async function aScrapeLater(): Promise<void> {
  const { behaviour } = kubelet
  kubelet.behaviour = 'answer'
  await world.scrape('127.0.0.1', kubelet.port)
  kubelet.behaviour = behaviour
}

describe('a kubelet that dies in the middle of its page', () => {
  async function clientIsCut(port: number): Promise<boolean> {
    kubelet.behaviour = 'die'
    using raw = rawGet(port)
    // Awaited here: the connection is closed when this function is left.
    return await waitFor('the end', () => raw.closed, { timeoutMs: 3_000 }).then(
      () => !raw.received.endsWith('0\r\n\r\n'),
      () => false,
    )
  }

  it("cuts the client's connection", async () => {
    expect(await clientIsCut(ours())).toBe(true)
  })

  it('leaves the client of naive http-proxy hanging', async () => {
    expect(await clientIsCut(theirs())).toBe(false)
  })
})

describe('a client that goes away', () => {
  async function upstreamIsAborted(port: number): Promise<boolean> {
    kubelet.behaviour = 'hang'
    await waitFor('quiet', () => kubelet.running === 0)
    const raw = rawGet(port)
    await waitFor('the kubelet to be asked', () => kubelet.running === 1)
    const busy = [...kubelet.open.keys()].at(-1)
    raw[Symbol.dispose]()
    await aScrapeLater()
    return await waitFor('the abort', () => busy !== undefined && !kubelet.open.has(busy), {
      timeoutMs: 3_000,
    }).then(
      () => true,
      () => false,
    )
  }

  it('ends the request to the kubelet', async () => {
    expect(await upstreamIsAborted(ours())).toBe(true)
  })

  it('leaves the request of naive http-proxy running', async () => {
    expect(await upstreamIsAborted(theirs())).toBe(false)
  })
})

describe('a client that stops in the middle of the page', () => {
  it('ends the request to the kubelet', async () => {
    kubelet.behaviour = 'drip'
    const others = kubelet.running
    const raw = rawGet(ours(), 'X-Prometheus-Scrape-Timeout-Seconds: 30')
    await waitFor('the kubelet to be asked', () => kubelet.running > others)
    raw[Symbol.dispose]()
    await waitFor('the abort', () => kubelet.running === others)
    expect(await world.ops('/metrics')).toMatch(/podsonar_proxy_requests_in_flight 0\n/)
  })
})

describe('connections', () => {
  async function connectionsForThreeScrapes(port: number): Promise<[client: boolean, upstream: number]> {
    const before = kubelet.accepted
    using raw = new Raw(port)
    for (let scrapes = 1; scrapes <= 3; scrapes += 1) {
      const seen = raw.received.length
      raw.request('GET', page(), 'Accept-Encoding: gzip')
      await waitFor('the page', () => raw.closed || /\r\n0\r\n\r\n$/.test(raw.received.slice(seen)))
      if (raw.closed) break
    }
    return [!raw.closed, kubelet.accepted - before]
  }

  it('are kept, on both sides', async () => {
    await aScrapeLater()
    expect(await connectionsForThreeScrapes(ours())).toEqual([true, 0])
  })

  it('are closed by naive http-proxy, on both sides', async () => {
    expect(await connectionsForThreeScrapes(theirs())).toEqual([false, 1])
  })

  it('that the kubelet resets when they are used again cost one retry, and no failed scrape', async () => {
    await aScrapeLater()
    kubelet.behaviour = 'reset_reused'
    const accepted = kubelet.accepted
    const answer = await world.scrape('127.0.0.1', kubelet.port)
    expect([answer.status, kubelet.accepted - accepted]).toEqual([200, 1])
  })
})

describe('a page that comes in drips', () => {
  async function secondsUntilCut(port: number): Promise<number> {
    kubelet.behaviour = 'drip'
    const started = performance.now()
    using raw = rawGet(port, 'X-Prometheus-Scrape-Timeout-Seconds: 1')
    await waitFor('the cut', () => raw.closed || raw.received.endsWith('}'), { timeoutMs: 3_000 }).catch(
      () => undefined,
    )
    return (performance.now() - started) / 1_000
  }

  it('is cut at the deadline', async () => {
    expect(await secondsUntilCut(ours())).toBeLessThan(2)
  })

  it('goes on behind naive http-proxy', async () => {
    expect(await secondsUntilCut(theirs())).toBeGreaterThan(2.5)
  })
})

describe('a request header', () => {
  it.each([
    'Trailer: x',
    'Upgrade: websocket\r\nConnection: Upgrade',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
  ])('that a scrape does not have is refused: %s', async (header) => {
    const asked = kubelet.requests.length
    using raw = rawGet(ours(), header)
    await waitFor('the refusal', () => raw.status !== 0)
    expect([raw.status, kubelet.requests.length]).toEqual([400, asked])
    expect(raw.received).toContain('"bad_request"')
  })

  it('Expect is answered, and not passed on', async () => {
    using raw = rawGet(ours(), 'Expect: 100-continue', 'Connection: close')
    await waitFor('the page', () => raw.closed)
    expect(raw.received.startsWith('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK')).toBe(true)
    expect(kubelet.requests.at(-1)?.headers.expect).toBeUndefined()
  })

  it.each(['DELETE', 'OPTIONS'])('cannot smuggle a request behind a chunked %s', async (method) => {
    const asked = kubelet.requests.length
    using raw = new Raw(ours()).request(method, page(), 'Transfer-Encoding: chunked')
    const inner = 'GET /pods HTTP/1.1\r\nHost: x\r\n\r\n'
    raw.send(`${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`)
    await waitFor('the refusal', () => raw.closed)
    expect([raw.status, kubelet.requests.length]).toEqual([405, asked])
    expect(raw.received.match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
  })

  it('Trailer kills naive http-proxy', async () => {
    using raw = rawGet(theirs(), 'Trailer: x')
    await naive.process.exited
    expect(naive.process.stderr).toContain('ERR_HTTP_TRAILER_INVALID')
    expect(raw.status).toBe(0)
  })
})
