/**
 * Kubelets of the proxy benchmark, as a program of its own: one TLS listener on every address of 127.0.0.0/8, which
 * serves one page, compressed once, to whoever has the token. `node bench/kubelets.ts CERTIFICATE KEY TOKEN`; prints its
 * port.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { cadvisorPage } from './cadvisor-page.ts'

const [certificateFile = '', keyFile = '', token = ''] = process.argv.slice(2)
const page = Buffer.from(cadvisorPage(222))
const compressed = gzipSync(page)
const options = { cert: readFileSync(certificateFile), key: readFileSync(keyFile), keepAliveTimeout: 90_000 }
/** As Go's server writes a page, compressed or not: in chunks of 2 kB, of which two make a TLS record. */
const chunkBytes = 2_048
const recordBytes = 2 * chunkBytes
const server = createServer(options, (request, response) => {
  if (request.headers.authorization !== `Bearer ${token}`) {
    response.writeHead(401).end()
    return
  }
  const gzip = request.headers['accept-encoding']?.includes('gzip') === true
  response.writeHead(200, {
    'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    ...(gzip ? { 'content-encoding': 'gzip' } : {}),
  })
  const body = gzip ? compressed : page
  const { socket } = response
  for (let from = 0; from < body.length; from += recordBytes) {
    socket?.cork()
    for (let chunk = from; chunk < from + recordBytes; chunk += chunkBytes)
      response.write(body.subarray(chunk, chunk + chunkBytes))
    socket?.uncork()
  }
  response.end()
})
server.listen(0, '0.0.0.0', () => {
  const { port } = server.address() as AddressInfo
  console.log(JSON.stringify({ port, bytes: page.length, gzipBytes: compressed.length }))
})
