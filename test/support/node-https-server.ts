/** A server of HTTPS, HTTP/1.1 or HTTP/2, that also asks another one. Arguments: certificate, key, address and port. Prints its port. */
import { readFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'

const [, , certificate = '', key = '', address = '127.0.0.1', wanted = '0'] = process.argv
const server = createSecureServer(
  { cert: readFileSync(certificate), key: readFileSync(key), allowHTTP1: true },
  (incoming, response) => {
    const { url } = incoming
    if (url === '/die') process.kill(process.pid, 'SIGKILL')
    // Two ends of TLS in one thread, each with a socket and a connection of its own.
    if (url.startsWith('/ask/')) {
      const { port } = server.address() as AddressInfo
      request({ port, host: '127.0.0.1', path: '/asked', rejectUnauthorized: false }, (answer) => {
        answer.resume().once('end', () => response.end('done'))
      }).end()
      return
    }
    response.statusCode = url === '/missing' ? 404 : 200
    response.end(url === '/large' ? 'x'.repeat(300_000) : 'done')
  },
).listen(Number(wanted), address, () => {
  console.log('port', (server.address() as AddressInfo).port)
})
