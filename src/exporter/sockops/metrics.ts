import { Counter, Gauge, type Registry } from 'prom-client'
import type { SockopsReading } from '../ebpf/sockops-program.ts'

/** What the short-cutting of connections tells of itself. Absent while no programs are loaded. */
export class SockopsMetrics {
  readonly #containers
  readonly #connections
  readonly #excluded
  readonly #messages
  readonly #bytes
  readonly #fallbacks
  #last: SockopsReading | undefined

  constructor(registry: Registry) {
    const registers = [registry]
    this.#containers = new Gauge({
      name: 'podsonar_sockops_containers',
      help: 'Containers whose connections may be short-cut.',
      registers,
    })
    this.#connections = new Gauge({
      name: 'podsonar_sockops_connections',
      help: 'Ends of connections that may be short-cut; at most SOCKOPS_MAX_CONNECTIONS.',
      registers,
    })
    this.#excluded = new Gauge({
      name: 'podsonar_sockops_excluded_containers',
      help: 'Cgroups of chosen containers that made a call which short-cut sockets answer wrongly, by call: docs/sockops.md.',
      labelNames: ['call'],
      registers,
    })
    this.#messages = new Counter({
      name: 'podsonar_sockops_redirected_messages_total',
      help: 'Messages that were handed from socket to socket.',
      registers,
    })
    this.#bytes = new Counter({
      name: 'podsonar_sockops_redirected_bytes_total',
      help: 'Bytes that were handed from socket to socket.',
      registers,
    })
    this.#fallbacks = new Counter({
      name: 'podsonar_sockops_fallbacks_total',
      help: 'Messages of held connections that took the normal way, and connections that were not held (observed, no_room), by reason: docs/sockops.md.',
      labelNames: ['reason'],
      registers,
    })
    this.update(undefined)
  }

  /** @param reading undefined: nothing is loaded */
  update(reading: SockopsReading | undefined): void {
    if (reading === undefined) {
      for (const metric of [this.#containers, this.#connections, this.#messages, this.#bytes]) metric.remove()
      this.#excluded.reset()
      this.#fallbacks.reset()
      this.#last = undefined
      return
    }
    // Figures begin again with programs that were loaded anew.
    const before =
      this.#last !== undefined && this.#last.messages <= reading.messages ? this.#last : undefined
    this.#last = reading
    this.#containers.set(reading.containers)
    this.#connections.set(reading.open)
    this.#excluded.reset()
    for (const [call, cgroups] of Object.entries(reading.excluded)) this.#excluded.set({ call }, cgroups)
    this.#messages.inc(reading.messages - (before?.messages ?? 0))
    this.#bytes.inc(reading.bytes - (before?.bytes ?? 0))
    for (const [reason, count] of Object.entries(reading.fallbacks))
      this.#fallbacks.inc(
        { reason },
        count - (before?.fallbacks[reason as keyof SockopsReading['fallbacks']] ?? 0),
      )
  }
}
