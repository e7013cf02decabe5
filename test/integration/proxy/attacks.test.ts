/**
 * What a hostile client can send, on raw sockets. None of it may make the proxy dial anything but a known kubelet, show
 * the token, or stop serving others: listeners that must never be reached count who reaches them.
 */
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { waitFor } from '../../../lab/wait.ts'
import { ProxyWorld, token } from '../../support/proxy-world.ts'
import { Raw } from '../../support/raw-connection.ts'

let world: ProxyWorld
let kubelet: SimulatedKubelet
const traps: Server[] = []
let trapped = 0

async function trap(address: string, port: number): Promise<number> {
  const server = createServer((socket) => {
    trapped += 1
    socket.destroy()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, resolve)
  })
  traps.push(server)
  return (server.address() as AddressInfo).port
}

let trapPort = 0

beforeAll(async () => {
  world = await ProxyWorld.start()
  kubelet = await world.addKubelet('node-1')
  // Another machine with a kubelet's port, another port of the node, and this machine's own service.
  await trap('127.0.0.9', kubelet.port)
  trapPort = await trap('127.0.0.1', 0)
})
afterEach(async () => {
  expect(trapped).toBe(0)
  expect((await world.scrape('127.0.0.1', kubelet.port)).status).toBe(200)
})
afterAll(async () => {
  await Promise.all(traps.map((server) => new Promise((resolve) => server.close(resolve))))
  await world[Symbol.asyncDispose]()
})

/** Sends raw text and gives the connection when it was answered or closed. */
async function attack(text: string): Promise<Raw> {
  const asked = kubelet.requests.length
  const raw = new Raw(world.proxy.port).send(text)
  await waitFor('an answer or the end', () => raw.status !== 0 || raw.closed)
  expect(raw.received).not.toContain(token)
  expect(raw.received.toLowerCase()).not.toContain('authorization')
  expect(kubelet.requests.length).toBe(asked)
  return raw
}

const line = (target: string, method = 'GET'): string => `${method} ${target} HTTP/1.1\r\nHost: proxy\r\n\r\n`
const node = (authority: string, path = '/metrics/cadvisor'): string => `/api/v1/nodes/${authority}${path}`

describe('targets', () => {
  const other = (): string => `127.0.0.9:${kubelet.port}`
  it.each([
    ['an unknown address', () => node(other()), 403],
    ['another port of a node', () => node(`127.0.0.1:${trapPort}`), 403],
    ['an absolute form', () => `http://${other()}/metrics/cadvisor`, 400],
    ['an absolute form of the route', () => `http://proxy${node(other())}`, 400],
    ['two slashes in front', () => `//${other()}/metrics`, 400],
    ['an encoded slash', () => node(`127.0.0.1%2F:${kubelet.port}`), 400],
    ['an encoded question mark', () => node(`127.0.0.9%3F:${kubelet.port}`), 400],
    ['an encoded hash', () => node(`127.0.0.9%23:${kubelet.port}`), 400],
    ['an encoded user', () => node(`127.0.0.1%40${other()}`), 400],
    ['a user', () => node(`127.0.0.1@${other()}`), 400],
    ['dots', () => node(`127.0.0.1:${kubelet.port}`, '/../../secrets'), 400],
    ['encoded dots', () => node(`127.0.0.1:${kubelet.port}`, '/%2e%2e/pods'), 400],
    ['a backslash', () => node(`127.0.0.1:${kubelet.port}`, '\\metrics'), 400],
    ['an octal address', () => node(`0177.0.0.01:${kubelet.port}`), 400],
    ['a short address', () => node(`127.1:${kubelet.port}`), 400],
    ['a decimal address', () => node(`2130706433:${kubelet.port}`), 400],
    ['a hexadecimal address', () => node(`0x7f000001:${kubelet.port}`), 400],
    ['a v4-mapped address', () => node(`[::ffff:127.0.0.1]:${kubelet.port}`), 400],
    ['a v4-mapped address, encoded', () => node(`%5B::ffff:7f00:1%5D:${kubelet.port}`), 400],
    ['an address with a zone', () => node(`[fe80::1%25lo]:${kubelet.port}`), 400],
    ['a name', () => node(`localhost:${kubelet.port}`), 400],
    ["the node's name", () => node(`node-1:${kubelet.port}`), 400],
    ['a name that resolves to the node', () => node(`127.0.0.1.nip.io:${kubelet.port}`), 400],
    ['the metadata address', () => node(`169.254.169.254:${kubelet.port}`), 403],
    ['any address', () => node(`0.0.0.0:${kubelet.port}`), 403],
    ["the kubelet's exec", () => node(`127.0.0.1:${kubelet.port}`, '/exec/default/web/c?command=id'), 404],
    ["the kubelet's pods", () => node(`127.0.0.1:${kubelet.port}`, '/pods'), 404],
    ['an empty host', () => node(`:${kubelet.port}`), 400],
    ['no port', () => node('127.0.0.1'), 400],
    ['a star', () => '*', 400],
  ])('%s is refused', async (_name, target, status) => {
    using raw = await attack(line(target()))
    expect(raw.status).toBe(status)
  })

  it('a name is refused in the Host header as in any other place: it decides nothing', async () => {
    const target = node(`127.0.0.1:${kubelet.port}`)
    using raw = new Raw(world.proxy.port).send(
      `GET ${target} HTTP/1.1\r\nHost: 127.0.0.9:${kubelet.port}\r\nX-Forwarded-Host: evil\r\n\r\n`,
    )
    await waitFor('the page', () => raw.status === 200)
    expect(kubelet.requests.at(-1)?.headers.host).toBe(`127.0.0.1:${kubelet.port}`)
  })
})

describe('methods', () => {
  it.each(['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH', 'PROPFIND'])(
    '%s is refused',
    async (method) => {
      using raw = await attack(line(node(`127.0.0.1:${kubelet.port}`), method))
      expect(raw.status).toBe(405)
    },
  )

  it('CONNECT opens no tunnel', async () => {
    using raw = await attack(
      `CONNECT 127.0.0.9:${kubelet.port} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n`,
    )
    await waitFor('the end', () => raw.closed)
    expect([raw.status, raw.answers]).toEqual([405, 1])
  })

  it('an upgrade does not happen, not even to HTTP/2', async () => {
    const target = node(`127.0.0.1:${kubelet.port}`)
    for (const protocol of ['websocket', 'h2c', 'SPDY/3.1']) {
      using raw = await attack(
        `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\nUpgrade: ${protocol}\r\n\r\n`,
      )
      expect(raw.status).toBe(400)
    }
    using prior = await attack('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    expect(prior.status === 0 || prior.status >= 400).toBe(true)
  })
})

describe('smuggling', () => {
  const inner = 'GET /pods HTTP/1.1\r\nHost: x\r\n\r\n'
  const chunked = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`
  it.each([
    ['two lengths', `Content-Length: 5\r\nContent-Length: 6\r\n\r\n${inner}`],
    [
      'a length and chunks',
      `Content-Length: ${inner.length}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
    ],
    ['chunks in a GET', `Transfer-Encoding: chunked\r\n\r\n${chunked}`],
    ['chunks by another name', `Transfer-Encoding: xchunked\r\n\r\n${chunked}`],
    ['chunks with a space before the colon', `Transfer-Encoding : chunked\r\n\r\n${chunked}`],
    ['chunks twice', `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${chunked}`],
    ['a folded header', `X: a\r\n Transfer-Encoding: chunked\r\n\r\n${chunked}`],
    ['a length with a sign', `Content-Length: +5\r\n\r\n${inner}`],
    ['a body', `Content-Length: ${inner.length}\r\n\r\n${inner}`],
    ['a trailer', `Trailer: X\r\n\r\n`],
    ['bare line feeds', `X: a\nTransfer-Encoding: chunked\n\n${chunked}`],
    ['a zero byte', `X: a\0b\r\n\r\n`],
  ])('%s gets one refusal and the end of the connection', async (_name, rest) => {
    using raw = await attack(`GET ${node(`127.0.0.1:${kubelet.port}`)} HTTP/1.1\r\nHost: x\r\n${rest}`)
    await waitFor('the end', () => raw.closed)
    expect([raw.status, raw.answers]).toEqual([400, 1])
  })

  it('requests in one pipe are answered one by one', async () => {
    const good = line(node(`127.0.0.1:${kubelet.port}`))
    using raw = new Raw(world.proxy.port).send(good + line(node('127.0.0.9:1')) + good)
    await waitFor('three answers', () => raw.answers === 3)
    expect(raw.received.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 403', 'HTTP/1.1 200'])
  })
})

describe('size and time', () => {
  it('headers of more than 16 kB are refused', async () => {
    using raw = await attack(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(17_000)}\r\n\r\n`)
    expect(raw.status).toBe(431)
  })

  it('a target of more than 16 kB is refused', async () => {
    using raw = await attack(line(`/${'a'.repeat(17_000)}`))
    expect(raw.status).toBe(431)
  })

  it('a client that sends its headers slowly is cut, and holds nobody up', async () => {
    using slow = new Raw(world.proxy.port).send('GET / HTTP/1.1\r\nHost: x\r\n')
    using silent = new Raw(world.proxy.port)
    const drip = setInterval(() => slow.send('X: a\r\n'), 500)
    await waitFor('both to be cut', () => slow.closed && silent.closed, { timeoutMs: 20_000 })
    clearInterval(drip)
    expect([slow.status, silent.status]).toEqual([408, 408])
  })
})
