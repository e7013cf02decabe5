/** Real HTTP traffic of Node.js's own servers and clients, recorded on its way through a relay. */
import { once } from 'node:events'
import { createServer as createHttp1, request, Agent, type IncomingMessage, type Server } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2, type ServerHttp2Stream } from 'node:http2'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Movement } from '../../src/exporter/core/requests/connection.ts'

/** What a relay saw, as the server's kernel would tell it. */
export type Recorded = Pick<Movement, 'direction' | 'atNs'> & { readonly data: Uint8Array }

/** What was asked and answered: method, path and status. */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly status: number
}

interface Recording {
  readonly movements: readonly Recorded[]
  readonly asked: readonly Asked[]
}

/** A relay to `port` that keeps what passes; one connection. */
async function relay(port: number): Promise<{ port: number; movements: Recorded[]; close: () => void }> {
  const movements: Recorded[] = []
  const sockets: Socket[] = []
  const server = createServer((inbound) => {
    const outbound = connect(port, '127.0.0.1')
    sockets.push(inbound, outbound)
    const pass = (from: Socket, to: Socket, direction: Recorded['direction']): void => {
      from.on('data', (data) => {
        movements.push({ direction, data, atNs: movements.length * 1_000 + 1 })
        to.write(data)
      })
      from.on('end', () => to.end())
      from.on('error', () => to.destroy())
    }
    pass(inbound, outbound, 'received')
    pass(outbound, inbound, 'sent')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = (): void => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { port: (server.address() as AddressInfo).port, movements, close }
}

async function listening(server: Server | ReturnType<typeof createHttp2>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Keep-alive requests of every method and framing, one after the other. */
export async function recordHttp1(count: number): Promise<Recording> {
  const server = createHttp1((incoming, response) => {
    incoming.resume().on('end', () => {
      const index = Number(incoming.url?.split('?n=')[1])
      response.statusCode = index % 5 === 4 ? 404 : index % 7 === 6 ? 204 : 200
      const body = 'HTTP/1.1 200 OK\r\n'.repeat(index % 11)
      if (index % 3 === 0) response.setHeader('content-length', response.statusCode === 204 ? 0 : body.length)
      else response.write('')
      response.end(incoming.method === 'HEAD' || response.statusCode === 204 ? undefined : body)
    })
  })
  const through = await relay(await listening(server))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const asked: Asked[] = []
  for (let index = 0; index < count; index += 1) {
    const method = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE'][index % 5] ?? 'GET'
    const path = `/items/kind-${'abcdefgh'[index % 8] ?? ''}`
    const withBody = method === 'POST' || method === 'PUT'
    const headers = withBody && index % 2 === 0 ? { 'content-length': 20 } : {}
    const outgoing = request({
      port: through.port,
      host: '127.0.0.1',
      method,
      path: `${path}?n=${index}`,
      agent,
      headers,
    })
    outgoing.end(withBody ? 'GET /no HTTP/1.1\r\n\r\n' : undefined)
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    await once(response.resume(), 'end')
    asked.push({ method, path, status: response.statusCode ?? 0 })
  }
  agent.destroy()
  through.close()
  server.close()
  return { movements: through.movements, asked }
}

/** Interleaved streams of one connection, every third a gRPC call. */
export async function recordHttp2(count: number): Promise<Recording> {
  const server = createHttp2()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.resume().on('end', () => {
      const index = Number(headers['x-index'])
      if (index % 3 === 0) {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => {
          stream.sendTrailers({ 'grpc-status': String(index % 5) })
        })
        stream.end(Buffer.alloc(10))
      } else {
        stream.respond({ ':status': index % 4 === 0 ? 500 : 200, 'x-filler': `filler ${index % 9}` })
        stream.end('x'.repeat((index * 997) % 40_000))
      }
    })
  })
  const through = await relay(await listening(server))
  const session = connectHttp2(`http://127.0.0.1:${through.port}`)
  const asked: Asked[] = []
  const one = async (index: number): Promise<void> => {
    const grpc = index % 3 === 0
    const method = grpc || index % 2 === 0 ? 'POST' : 'GET'
    const path = grpc ? `/pack.Age/Call${'ABC'[index % 3] ?? ''}` : `/things/${'xyz'[index % 3] ?? ''}`
    const stream = session.request({
      ...{ ':method': method, ':path': path, 'x-index': String(index), 'x-same': 'the same for all' },
      ...(grpc ? { 'content-type': 'application/grpc', te: 'trailers' } : {}),
    })
    let status = 0
    stream.on('response', (headers) => (status = Number(headers[':status'])))
    stream.end(method === 'POST' ? Buffer.alloc(50) : undefined)
    await once(stream.resume(), 'close')
    asked.push({ method, path, status })
  }
  for (let index = 0; index < count; index += 4) await Promise.all([0, 1, 2, 3].map((k) => one(index + k)))
  session.destroy()
  through.close()
  server.close()
  return { movements: through.movements, asked }
}
