/** Stands before an HTTP server and notes what it is asked. */
import { once } from 'node:events'
import { createServer, request as send, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface RecordedRequest {
  readonly method: string
  /** With its query. */
  readonly url: string
  readonly body: string
}

export class RequestRecorder implements AsyncDisposable {
  readonly requests: RecordedRequest[] = []
  readonly url: string
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** @param target the URL that requests are passed on to */
  static async start(target: string): Promise<RequestRecorder> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const recorder = new RequestRecorder(server)
    server.on('request', (request, response) => {
      const { method = 'GET', url = '/', headers } = request
      void text(request).then((body) => {
        recorder.requests.push({ method, url, body })
        const passed = send(new URL(url, target), { method, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        })
        passed.on('error', () => response.destroy())
        passed.end(body)
      })
    })
    return recorder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}
