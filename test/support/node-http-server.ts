/** A server with a path for each way to frame a response, which closes no idle connection by itself. Arguments: address and port. Prints its port. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  switch (request.url) {
    case '/chunked':
      for (let part = 0; part < 50; part += 1) response.write('x'.repeat(1_000))
      response.end('done')
      break
    case '/dribble':
      response.write('a')
      setTimeout(() => {
        response.write('b')
        setTimeout(() => response.end('done'), 20)
      }, 20)
      break
    case '/close':
      response.writeHead(200, { connection: 'close' })
      response.shouldKeepAlive = false
      response.end('done')
      break
    case '/fail':
      response.writeHead(503).end('failed')
      break
    case '/die':
      process.kill(process.pid, 'SIGKILL')
      break
    default:
      response.end('done')
  }
}).listen(Number(process.argv[3] ?? 0), process.argv[2] ?? '127.0.0.1', () => {
  console.log('port', (server.address() as AddressInfo).port)
})
