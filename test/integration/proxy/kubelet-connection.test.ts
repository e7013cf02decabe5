/** Answers of a kubelet as they may come over the wire, in any pieces, and what the client gets of them. */
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { waitFor } from '../../../lab/wait.ts'
import { ProxyWorld, type Answer } from '../../support/proxy-world.ts'

let world: ProxyWorld
let server: Server
const connections: TLSSocket[] = []
/** What is written for each request, a record each. */
let records: readonly string[] = []

beforeAll(async () => {
  world = await ProxyWorld.start()
  const { certificate, key } = await world.ca.issue({ commonName: 'node-1', dns: ['node-1'] })
  server = createServer({ cert: certificate, key }, (socket) => {
    connections.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', () => {
      for (const record of records) socket.write(record, 'latin1')
      if (records.at(-1) === '') socket.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  world.addNode('node-1', ['127.0.0.1'], (server.address() as AddressInfo).port)
})
beforeEach(() => {
  for (const socket of connections.splice(0)) socket.destroy()
})
afterAll(async () => {
  for (const socket of connections) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  await world[Symbol.asyncDispose]()
})

const scrape = (): Promise<Answer> =>
  world.scrape('127.0.0.1', (server.address() as AddressInfo).port, {
    headers: { 'x-prometheus-scrape-timeout-seconds': '30' },
  })

const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n'
const body = 'metric{a="b"} 1\n'.repeat(20_000)
const chunks = (size: number): string => {
  let text = ''
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.slice(at, at + size)
    text += `${chunk.length.toString(16)}\r\n${chunk}\r\n`
  }
  return `${text}0\r\n\r\n`
}
const cut = (text: string, size: number): string[] =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, at) => text.slice(at * size, (at + 1) * size))

describe('a page', () => {
  it.each<[string, () => readonly string[]]>([
    ['in one record', () => [head + chunks(2_048)]],
    ['with its head by itself', () => [head, chunks(2_048)]],
    ['with a head in pieces', () => [...cut(head, 10), chunks(100_000)]],
    ['in chunks of 2 kB and records of 4 kB', () => cut(head + chunks(2_048), 4_096)],
    ['in chunks of a few bytes', () => [head, ...cut(chunks(7), 16_000)]],
    ['in records that end anywhere', () => cut(head + chunks(3_000), 1_021)],
    ['in one chunk', () => [head + chunks(body.length)]],
    ['with its length', () => [`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`, body]],
    ['behind a hint', () => [`HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${head}`, chunks(2_048)]],
    ['with a word beside chunked', () => [head.replace('chunked', 'Chunked'), chunks(2_048)]],
  ])('%s comes whole, and leaves its connection to the next', async (_name, make) => {
    records = make()
    for (let round = 0; round < 3; round += 1) {
      const answer = await scrape()
      expect([answer.status, answer.body.toString() === body]).toEqual([200, true])
    }
    expect(connections).toHaveLength(1)
  })

  it('leaves a connection that is closed as soon as the kubelet closes it', async () => {
    records = [head + chunks(2_048)]
    for (let round = 0; round < 2; round += 1) await scrape()
    const [connection] = connections
    connection?.end()
    await waitFor('the other end to be closed too', () => connection?.closed === true)
    expect(await world.ops('/metrics')).toContain('podsonar_proxy_upstream_connections{state="idle"} 0')
  })

  it('that ends with its connection comes whole', async () => {
    records = ['HTTP/1.1 200 OK\r\n\r\n', body, '']
    expect((await scrape()).body.toString() === body).toBe(true)
  })

  it('may be empty', async () => {
    records = [head, '0\r\n\r\n']
    expect((await scrape()).body.length).toBe(0)
  })
})

describe('a page that is not framed as it should be', () => {
  it.each<[string, () => readonly string[]]>([
    ['a size that is none', () => [`${head}5\r\nhello\r\nxyz\r\n`]],
    ['a size that is too small', () => [`${head}3\r\nhello\r\n0\r\n\r\n`]],
    ['a chunk extension', () => [head, '5;a=b\r\nhello\r\n0\r\n\r\n']],
    ['a trailer', () => [head, '5\r\nhello\r\n0\r\nX: y\r\n\r\n']],
    ['an end too soon', () => [head, '5\r\nhello\r\n', '']],
    ['an end in the middle of a size', () => [head, chunks(2_048).slice(0, 40_000), '']],
  ])('never looks whole: %s', async (_name, make) => {
    records = make()
    await expect(scrape()).rejects.toThrow(/aborted|hang up|ECONNRESET/)
    await waitFor('its connection to be closed', () => connections.every((socket) => socket.destroyed))
  })
})

describe('what nobody asked for', () => {
  const forged = `${head}6\r\nforged\r\n0\r\n\r\n`

  it('behind a page does not become the next', async () => {
    records = [`${head}4\r\nreal\r\n0\r\n\r\n${forged}`]
    for (let round = 0; round < 3; round += 1) expect((await scrape()).body.toString()).toBe('real')
    expect(connections).toHaveLength(3)
  })

  it('on an idle connection closes it', async () => {
    records = [head, '4\r\nreal\r\n0\r\n\r\n']
    expect((await scrape()).body.toString()).toBe('real')
    connections[0]?.write(forged)
    await waitFor('the connection to be closed', () => connections[0]?.destroyed === true)
    expect((await scrape()).body.toString()).toBe('real')
    expect(connections).toHaveLength(2)
  })
})
