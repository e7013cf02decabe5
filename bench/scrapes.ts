/** Scrapes as a Prometheus makes them, over kept connections, their bodies counted and thrown away. */
import { Agent, request as httpRequest } from 'node:http'

export class Scraper implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1_000 })
  readonly #headers: Readonly<Record<string, string>>

  constructor(acceptEncoding: 'gzip' | 'identity') {
    this.#headers = {
      accept: 'text/plain',
      'accept-encoding': acceptEncoding,
      'user-agent': 'Prometheus/2.24',
    }
  }

  /** @returns the bytes of the body. @throws Error when it is not a whole 200 */
  scrape(port: number, node: string): Promise<number> {
    const path = `/api/v1/nodes/${node}/metrics/cadvisor`
    return new Promise((resolve, reject) => {
      httpRequest(
        { host: '127.0.0.1', port, path, agent: this.#agent, headers: this.#headers },
        (response) => {
          let bytes = 0
          response.on('data', (chunk: Buffer) => (bytes += chunk.length))
          response.on('error', reject)
          response.on('end', () => {
            if (response.statusCode === 200) resolve(bytes)
            else reject(new Error(`The proxy answered ${response.statusCode ?? 0}`))
          })
        },
      )
        .on('error', reject)
        .end()
    })
  }

  /** `count` scrapes, `concurrency` at a time. */
  async many(port: number, nodes: readonly string[], count: number, concurrency: number): Promise<void> {
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < count) {
        const node = nodes[next % nodes.length] ?? ''
        next += 1
        await this.scrape(port, node)
      }
    }
    await Promise.all(Array.from({ length: concurrency }, worker))
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
