/** Feeds traffic to a connection, as the kernel's records would. */
import { Connection } from '../../../../../src/exporter/core/requests/connection.ts'
import type { Exchange } from '../../../../../src/exporter/core/requests/exchange.ts'
import type { Direction } from '../../../../../src/exporter/core/requests/http1-connection.ts'

/** A watched connection whose exchanges are kept. */
export class Watched {
  readonly exchanges: Exchange[] = []
  readonly connection: Connection
  readonly #offsets: Record<Direction, number> = { sent: 0, received: 0 }
  #clock = 1_000

  constructor(fromStart = true) {
    this.connection = new Connection('http', fromStart, (exchange) => this.exchanges.push(exchange))
  }

  /** Moves bytes by one system call; `captured`: as many of them are seen; undefined: all. */
  move(direction: Direction, content: string | Uint8Array, captured?: number, skipped = 0): this {
    const data = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
    const offset = this.#offsets[direction]
    this.#offsets[direction] += data.length
    this.#clock += 1_000
    const seen = data.subarray(0, captured)
    this.connection.move({
      ...{ direction, captured: seen.length, data: seen, text: Buffer.from(seen).toString('latin1') },
      ...{ length: data.length, offset, skipped, atNs: this.#clock },
      ...{ aligned: skipped > 0, continued: false, unreadable: seen.length === 0 },
    })
    return this
  }

  received(content: string | Uint8Array, captured?: number): this {
    return this.move('received', content, captured)
  }

  sent(content: string | Uint8Array, captured?: number): this {
    return this.move('sent', content, captured)
  }

  /** Bytes of which no record came. */
  lose(direction: Direction, bytes: number): this {
    this.#offsets[direction] += bytes
    return this
  }

  close(): this {
    this.connection.close((this.#clock += 1_000))
    return this
  }

  /** `GET /path 200`, one for each exchange. */
  get lines(): string[] {
    return this.exchanges.map(({ method, route, status }) => `${method} ${route ?? '?'} ${status ?? 'none'}`)
  }
}
