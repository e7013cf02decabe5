import { Counter, Gauge, type Registry } from 'prom-client'
import type { RequestReading } from '../ebpf/request-reader.ts'

/** What the watching of requests tells of itself. */
export class RequestMetrics {
  readonly #connections
  readonly #libraries
  readonly #totals: readonly RunningTotal[]
  readonly #exported
  readonly #dropped

  constructor(registry: Registry) {
    const registers = [registry]
    this.#connections = new Gauge({
      name: 'podsonar_requests_connections',
      help: 'Connections of watched pods that are followed; at most OBSERVE_MAX_CONNECTIONS.',
      registers,
    })
    const lost = new Counter({
      name: 'podsonar_requests_lost_events_total',
      help: 'Sends and receives of watched pods that could not be recorded: requests may be missing.',
      registers,
    })
    const sampledOut = new Counter({
      name: 'podsonar_requests_sampled_out_total',
      help: 'HTTP/1 requests that were not recorded because the buffer filled up; the next one of their connection counts for them.',
      registers,
    })
    const folded = new Counter({
      name: 'podsonar_requests_folded_total',
      help: 'Requests that were counted with ~other, because series are at OBSERVE_MAX_SERIES.',
      registers,
    })
    const dropped = new Counter({
      name: 'podsonar_requests_uncounted_total',
      help: 'Requests that were not counted, because series are at twice OBSERVE_MAX_SERIES.',
      registers,
    })
    const evicted = new Counter({
      name: 'podsonar_requests_evicted_connections_total',
      help: 'Connections that were given up, because there were more than OBSERVE_MAX_CONNECTIONS.',
      registers,
    })
    this.#libraries = new Gauge({
      name: 'podsonar_requests_tls_libraries',
      help: 'TLS libraries of watched pods whose reads and writes are followed; see OBSERVE_TLS.',
      registers,
    })
    const unattributed = new Counter({
      name: 'podsonar_requests_tls_unattributed_total',
      help: 'Reads and writes of TLS libraries that were not looked at, because their connection is not known.',
      registers,
    })
    this.#exported = new Counter({
      name: 'podsonar_spans_exported_total',
      help: 'Spans that the OTLP receiver took.',
      registers,
    })
    this.#dropped = new Counter({
      name: 'podsonar_spans_dropped_total',
      help: 'Spans that were thrown away, because the OTLP receiver did not take them or they were too many.',
      registers,
    })
    this.#totals = [
      new RunningTotal(lost, (reading) => reading.lost),
      new RunningTotal(unattributed, (reading) => reading.unattributed),
      new RunningTotal(sampledOut, (reading) => reading.sampledOut),
      new RunningTotal(folded, (reading) => reading.folded),
      new RunningTotal(dropped, (reading) => reading.dropped),
      new RunningTotal(evicted, (reading) => reading.evicted),
    ]
    // Absent, not zero, where no requests are watched.
    for (const metric of [this.#exported, this.#dropped]) metric.remove()
    for (const metric of [this.#libraries, unattributed]) metric.remove()
    for (const metric of [this.#connections, lost, sampledOut, folded, dropped, evicted]) metric.remove()
  }

  spans(outcome: 'exported' | 'dropped', spans: number): void {
    if (outcome === 'exported') this.#exported.inc(spans)
    else this.#dropped.inc(spans)
  }

  update(reading: RequestReading): void {
    this.#connections.set(reading.connections)
    this.#libraries.set(reading.tlsLibraries)
    for (const total of this.#totals) total.update(reading)
  }
}

/** A counter that follows a figure which begins again when its worker does. */
class RunningTotal {
  readonly #counter: Counter
  readonly #pick: (reading: RequestReading) => number
  #last = 0

  constructor(counter: Counter, pick: (reading: RequestReading) => number) {
    this.#counter = counter
    this.#pick = pick
  }

  update(reading: RequestReading): void {
    const now = this.#pick(reading)
    this.#counter.inc(now >= this.#last ? now - this.#last : now)
    this.#last = now
  }
}
