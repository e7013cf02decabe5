/** All watched connections: hands each record to its own, and tells whose exchanges come out. */
import { Connection } from './connection.ts'
import type { RequestEvent } from './decode-event.ts'
import type { Exchange } from './exchange.ts'

export interface TrackerOptions {
  /** Connections that are followed at a time: of more, those that were silent for longest are given up. */
  readonly maxConnections: number
  /** `remote`: the peer's address and port, as text. */
  readonly onExchange: (cgroupId: number, exchange: Exchange, remote: string, remotePort: number) => void
}

interface Tracked {
  readonly connection: Connection
  /** Its bytes are those that a TLS library reads and writes. */
  readonly tls: boolean
  lastNs: number
}

export class RequestTracker {
  readonly #options: TrackerOptions
  /** By socket; in the order in which they were last begun again. */
  readonly #connections = new Map<number, Tracked>()
  /** Connections that were given up for want of room. */
  evicted = 0

  constructor(options: TrackerOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#connections.size
  }

  add(event: RequestEvent): void {
    if (event.kind === 'closed') {
      this.#connections.get(event.socket)?.connection.close(event.atNs)
      this.#connections.delete(event.socket)
      return
    }
    const known = this.#connections.get(event.socket)
    // What the socket moved before it was known to be TLS is a handshake, or what came before one.
    if (known !== undefined && known.tls !== event.tls) known.connection.close(event.atNs)
    const tracked = known?.tls === event.tls ? known : this.#begin(event)
    tracked.lastNs = event.atNs
    tracked.connection.move(event)
  }

  /** Ends connections that were silent since then: their end was not seen. */
  forget(beforeNs: number): void {
    for (const [socket, { connection, lastNs }] of this.#connections) {
      if (lastNs >= beforeNs) continue
      connection.close(lastNs)
      this.#connections.delete(socket)
    }
  }

  #begin(event: RequestEvent): Tracked {
    const { maxConnections, onExchange } = this.#options
    if (this.#connections.size >= maxConnections && !this.#connections.has(event.socket)) {
      const [oldest] = this.#connections.keys()
      if (oldest !== undefined) this.#connections.delete(oldest)
      this.evicted += 1
    }
    const { cgroupId, remotePort } = event
    const remote = event.remoteAddress()
    const connection = new Connection(event.tls ? 'https' : 'http', event.fromStart, (exchange) => {
      onExchange(cgroupId, exchange, remote, remotePort)
    })
    const tracked = { connection, tls: event.tls, lastNs: event.atNs }
    this.#connections.set(event.socket, tracked)
    return tracked
  }
}
