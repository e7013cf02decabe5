/**
 * The faults of http-proxy, each tried on podsonar's proxy and on http-proxy used naively: that the second one fails
 * shows that the first one's pass means something.
 */
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import httpProxy from 'http-proxy'
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
/** For what does not happen, in milliseconds; what does happen may take a busy machine longer. */
const aMoment = 3_000

/** Waits a moment in which nothing may happen, by letting another scrape go all the way through. */
async function aScrapeLater(): Promise<void> {
  const { behaviour } = kubelet
  kubelet.behaviour = 'answer'
  await world.scrape('127.0.0.1', kubelet.port)
  kubelet.behaviour = behaviour
}

describe('a kubelet that dies in the middle of its page', () => {
  async function clientIsCut(port: number, timeoutMs = 30_000): Promise<boolean> {
    kubelet.behaviour = 'die'
    using raw = rawGet(port)
    // Awaited here: the connection is closed when this function is left.
    return await waitFor('the end', () => raw.closed, { timeoutMs }).then(
      () => !raw.received.endsWith('0\r\n\r\n'),
      () => false,
    )
  }

  it("cuts the client's connection", async () => {
    expect(await clientIsCut(ours())).toBe(true)
  })

  it('leaves the client of naive http-proxy hanging', async () => {
    expect(await clientIsCut(theirs(), aMoment)).toBe(false)
  })
})

describe('a client that goes away', () => {
  async function upstreamIsAborted(port: number, timeoutMs = 30_000): Promise<boolean> {
    kubelet.behaviour = 'hang'
    await waitFor('quiet', () => kubelet.running === 0)
    const raw = rawGet(port)
    await waitFor('the kubelet to be asked', () => kubelet.running === 1)
    const busy = [...kubelet.open.keys()].at(-1)
    raw[Symbol.dispose]()
    await aScrapeLater()
    return await waitFor('the abort', () => busy !== undefined && !kubelet.open.has(busy), {
      timeoutMs,
    }).then(
      () => true,
      () => false,
    )
  }

  it('ends the request to the kubelet', async () => {
    expect(await upstreamIsAborted(ours())).toBe(true)
  })

  it('leaves the request of naive http-proxy running', async () => {
    expect(await upstreamIsAborted(theirs(), aMoment)).toBe(false)
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
  /** The whole page takes twenty seconds. */
  async function isCut(port: number, timeoutMs: number): Promise<boolean> {
    kubelet.behaviour = 'drip'
    using raw = rawGet(port, 'X-Prometheus-Scrape-Timeout-Seconds: 1')
    return await waitFor('the cut', () => raw.closed, { timeoutMs }).then(
      () => !raw.received.endsWith('0\r\n\r\n'),
      () => false,
    )
  }

  it('is cut at the deadline', async () => {
    expect(await isCut(ours(), 10_000)).toBe(true)
  })

  it('goes on behind naive http-proxy', async () => {
    expect(await isCut(theirs(), aMoment)).toBe(false)
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

  it('Expect makes naive http-proxy forget the token, and pass on that of the client', async () => {
    using raw = rawGet(theirs(), 'Expect: 100-continue', 'Authorization: Bearer theirs', 'Connection: close')
    await waitFor('the answer', () => raw.closed)
    expect(kubelet.authorizations.at(-1)).toBe('Bearer theirs')
  })

  const mine = ['Cookie: a=b', 'Impersonate-User: root', 'Accept-Encoding: gzip']

  it('that says who the client is stays here', async () => {
    using raw = rawGet(ours(), ...mine)
    await waitFor('the page', () => raw.status === 200)
    expect(Object.keys(kubelet.requests.at(-1)?.headers ?? {}).sort()).toEqual([
      'accept-encoding',
      'authorization',
      'connection',
      'host',
    ])
  })

  it('that says who the client is goes through naive http-proxy', async () => {
    using raw = rawGet(theirs(), ...mine)
    await waitFor('the page', () => raw.status === 200)
    expect(kubelet.requests.at(-1)?.headers).toMatchObject({ cookie: 'a=b', 'impersonate-user': 'root' })
  })

  it('Trailer kills naive http-proxy', async () => {
    using raw = rawGet(theirs(), 'Trailer: x')
    await naive.process.exited
    expect(naive.process.stderr).toContain('ERR_HTTP_TRAILER_INVALID')
    expect(raw.status).toBe(0)
  })
})

describe('a redirect of the kubelet', () => {
  it('becomes a refusal', async () => {
    kubelet.behaviour = 'redirect'
    using raw = rawGet(ours())
    await waitFor('the answer', () => raw.status !== 0)
    expect([raw.status, /^location:/im.test(raw.received)]).toEqual([502, false])
  })

  it('goes to the client of naive http-proxy, which follows it', async () => {
    const again = await startNaiveProxy(world.ca.certificateFile, token)
    world.own(again.process)
    kubelet.behaviour = 'redirect'
    using raw = rawGet(again.port)
    await waitFor('the answer', () => raw.status !== 0)
    expect([raw.status, /^location: \/elsewhere/im.test(raw.received)]).toEqual([302, true])
  })
})

describe('a request behind the chunks of another', () => {
  const inner = 'GET /pods HTTP/1.1\r\nHost: x\r\n\r\n'

  /** What a kubelet reads when `method` with chunks is sent to a proxy, and the answer's status. */
  async function sent(method: string, port: (kubelet: number) => Promise<number>): Promise<[string, number]> {
    const { certificate, key } = await world.ca.issue({
      commonName: 'node-2',
      dns: ['node-2'],
      ips: ['127.0.0.2'],
    })
    let read = ''
    const server = createTlsServer({ cert: certificate, key }, (socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (bytes: Buffer) => {
        read += bytes.toString('latin1')
        if (read.includes('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve))
    const { port: kubeletPort } = server.address() as AddressInfo
    world.addNode('node-2', ['127.0.0.2'], kubeletPort)
    try {
      const target = `/api/v1/nodes/127.0.0.2:${kubeletPort}/metrics/cadvisor`
      using raw = new Raw(await port(kubeletPort)).request(method, target, 'Transfer-Encoding: chunked')
      raw.send(`${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`)
      await waitFor('the answer', () => raw.status !== 0)
      return [read, raw.status]
    } finally {
      server.close()
    }
  }

  it.each(['DELETE', 'OPTIONS'])('never reaches the kubelet with %s', async (method) => {
    expect(await sent(method, () => Promise.resolve(ours()))).toEqual(['', 405])
  })

  it.each(['DELETE', 'OPTIONS'])('is smuggled in by naive http-proxy with %s', async (method) => {
    const [read] = await sent(method, async () => {
      const again = await startNaiveProxy(world.ca.certificateFile, token)
      world.own(again.process)
      return again.port
    })
    const [head, ...behind] = read.split('\r\n\r\n')
    expect(head).toMatch(/content-length: 0/i)
    expect(behind.join('\r\n\r\n')).toBe(inner)
  })
})

describe('a node with an IPv6 address', () => {
  it('is scraped, and not by naive http-proxy with a URL as its target', async ({ skip }) => {
    const { SimulatedKubelet: Kubelet } = await import('../../../lab/kubelet.ts')
    const certificate = await world.ca.issue({ commonName: 'node-6', dns: ['node-6'], ips: ['::1'] })
    const v6 = await Kubelet.start({ address: '::1', token, certificate }).catch(() => undefined)
    if (v6 === undefined) {
      skip('this machine has no IPv6')
      return
    }
    world.own(v6)
    world.addNode('node-6', ['::1'], v6.port)
    expect((await world.scrape('[::1]', v6.port)).status).toBe(200)

    const proxy = httpProxy.createProxyServer()
    const problem = Promise.withResolvers<string>()
    const server = createHttpServer((request, response) => {
      const target = new URL(`https://[::1]:${v6.port}`) as never
      proxy.web(request, response, { target, secure: false }, (error) => {
        problem.resolve((error as NodeJS.ErrnoException).code ?? '')
        response.end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    using _raw = new Raw((server.address() as AddressInfo).port).request('GET', '/metrics/cadvisor')
    expect(await problem.promise).toBe('ENOTFOUND')
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('a token with a line break', () => {
  it('kills naive http-proxy at its first request', async () => {
    const again = await startNaiveProxy(world.ca.certificateFile, 'a\nb')
    world.own(again.process)
    using _raw = rawGet(again.port)
    await again.process.exited
    expect(again.process.stderr).toContain('ERR_INVALID_CHAR')
  })
})
