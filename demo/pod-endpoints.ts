import { createServer, type Server } from 'node:http'
import { freePorts } from '../lab/ports.ts'

/** The /metrics of the demo's pods, each on an address of its own and all on one port. */
export class PodEndpoints implements AsyncDisposable {
  /** How many there ever were. */
  opened = 0
  readonly #port: number
  readonly #servers = new Map<string, Server>()

  private constructor(port: number) {
    this.#port = port
  }

  static async create(): Promise<PodEndpoints> {
    const [port = 0] = await freePorts(1)
    return new PodEndpoints(port)
  }

  async open(name: string): Promise<{ ip: string; port: number }> {
    this.opened += 1
    const ip = `127.0.${10 + Math.floor(this.opened / 250)}.${(this.opened % 250) + 1}`
    const server = createServer((_request, response) => {
      response.setHeader('content-type', 'text/plain; version=0.0.4')
      response.end(`# TYPE demo_up gauge\ndemo_up{pod="${name}"} 1\n`)
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, ip, resolve)
    })
    this.#servers.set(name, server)
    return { ip, port: this.#port }
  }

  async close(name: string): Promise<void> {
    const server = this.#servers.get(name)
    this.#servers.delete(name)
    if (server === undefined) return
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#servers.keys()].map((name) => this.close(name)))
  }
}
