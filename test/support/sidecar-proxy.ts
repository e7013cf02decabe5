/**
 * A proxy beside a service, as sidecars are: takes requests on port 15006 and sends each on to 127.0.0.1:8080 over a
 * connection of its own, or, with the argument `keep`, over one that it keeps.
 */
import { Agent, createServer, request } from 'node:http'

const agent = new Agent({ keepAlive: process.argv[2] === 'keep', maxSockets: 1 })
createServer((incoming, outgoing) => {
  const forwarded = request(
    { agent, host: '127.0.0.1', port: 8080, path: incoming.url, method: incoming.method },
    (response) => {
      outgoing.writeHead(response.statusCode ?? 502)
      response.pipe(outgoing)
    },
  )
  forwarded.on('error', () => {
    outgoing.writeHead(502).end()
  })
  incoming.pipe(forwarded)
}).listen(15_006, '0.0.0.0')
