/**
 * TLS and HTTP/2 between two ends of one process: `encrypted-pair.ts CERTIFICATE KEY`. Prints the digest of all that came back.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { connect as connectTls, createServer } from 'node:tls'

const [cert, key] = process.argv.slice(2).map((file) => readFileSync(file))
if (cert === undefined || key === undefined) throw new Error('expected a certificate and a key')
const hash = createHash('sha256')
const sizes = [1, 100, 5_000, 70_000, 1_000_000, 3]

const server = createServer({ cert, key }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
await once(socket, 'secureConnect')
const parts = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>
for (const size of [...sizes, ...sizes]) {
  socket.write(Buffer.alloc(size, `TLS ${size} `))
  let came = 0
  while (came < size) {
    const { value: part } = await parts.next()
    if (part === undefined) throw new Error('the connection ended')
    hash.update(part)
    came += part.length
  }
}
socket.destroy()
server.close()

const http2 = createSecureServer({ cert, key }, (request, response) => {
  request.pipe(response)
}).listen(0, '127.0.0.1')
await once(http2, 'listening')
const authority = `https://127.0.0.1:${(http2.address() as AddressInfo).port}`
const session = connectHttp2(authority, { rejectUnauthorized: false })
for (let turn = 0; turn < 5; turn += 1) {
  const answers = await Promise.all(
    sizes.map((size) => {
      const stream = session.request({ ':method': 'POST', ':path': `/${size}` })
      stream.end(Buffer.alloc(size, `HTTP/2 ${size} ${turn} `))
      return buffer(stream)
    }),
  )
  for (const answer of answers) hash.update(answer)
}
session.close()
http2.close()
console.log(hash.digest('hex'))
