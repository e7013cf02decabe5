import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** What the gauges are read from, at each scrape of /metrics. */
export interface ProxyState {
  readonly nodes: () => number
  readonly inFlight: () => number
  readonly connections: () => { readonly active: number; readonly idle: number }
  /** Milliseconds since the epoch; undefined where no token is used or none was read. */
  readonly tokenReadAtMs: () => number | undefined
}

/** What became of a request. */
export interface ScrapeRecord {
  /** Undefined: it was refused before anything to scrape was found. */
  readonly target: 'node' | 'pod' | undefined
  /** The node's name; undefined for a pod. */
  readonly node: string | undefined
  /** `ok`, a refusal's code, or what cut a body short. */
  readonly code: string
  readonly seconds: number
  readonly bytes: number
}

/** The proxy's own metrics. Labels are names of known nodes and codes, so their number is bounded. */
export class ProxyMetrics {
  readonly #requests: Counter<'node' | 'code'>
  readonly #pods: Counter<'code'>
  readonly #seconds: Counter<'node'>
  readonly #bytes: Counter<'node'>
  readonly #durations: Histogram
  readonly #refusals: Counter<'code'>
  readonly #codes = new Map<string, Set<string>>()

  constructor(registry: Registry, state: ProxyState) {
    const registers = [registry]
    this.#requests = new Counter({
      name: 'podsonar_proxy_requests_total',
      help: 'Scrapes of a known node by how they ended: ok, a refusal code, or what cut the body short.',
      labelNames: ['node', 'code'],
      registers,
    })
    this.#pods = new Counter({
      name: 'podsonar_proxy_pod_requests_total',
      help: 'Scrapes of pods by how they ended, all pods together.',
      labelNames: ['code'],
      registers,
    })
    this.#seconds = new Counter({
      name: 'podsonar_proxy_request_seconds_total',
      help: 'Time that scrapes of a node took, from the request to the last byte.',
      labelNames: ['node'],
      registers,
    })
    this.#bytes = new Counter({
      name: 'podsonar_proxy_response_bytes_total',
      help: 'Body bytes that a node sent, compressed where it compressed them.',
      labelNames: ['node'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'podsonar_proxy_request_duration_seconds',
      help: 'Duration of scrapes of known nodes and pods, all together.',
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    })
    this.#refusals = new Counter({
      name: 'podsonar_proxy_refusals_total',
      help: 'Requests that were refused or could not be answered, by code.',
      labelNames: ['code'],
      registers,
    })
    registerGauges(registry, state)
  }

  record({ target, node, code, seconds, bytes }: ScrapeRecord): void {
    if (code !== 'ok') this.#refusals.inc({ code })
    if (target !== undefined) this.#durations.observe(seconds)
    if (target === 'pod') this.#pods.inc({ code })
    if (node === undefined) return
    this.#requests.inc({ node, code })
    this.#seconds.inc({ node }, seconds)
    this.#bytes.inc({ node }, bytes)
    const codes = this.#codes.get(node)
    if (codes === undefined) this.#codes.set(node, new Set([code]))
    else codes.add(code)
  }

  /** Forgets the series of a node that is gone. */
  forget(node: string): void {
    for (const code of this.#codes.get(node) ?? []) this.#requests.remove({ node, code })
    this.#seconds.remove({ node })
    this.#bytes.remove({ node })
    this.#codes.delete(node)
  }
}

function registerGauges(registry: Registry, state: ProxyState): void {
  const registers = [registry]
  new Gauge({
    name: 'podsonar_proxy_nodes',
    help: 'Known nodes.',
    registers,
    collect() {
      this.set(state.nodes())
    },
  })
  new Gauge({
    name: 'podsonar_proxy_requests_in_flight',
    help: 'Scrapes that run now.',
    registers,
    collect() {
      this.set(state.inFlight())
    },
  })
  new Gauge({
    name: 'podsonar_proxy_upstream_connections',
    help: 'Open connections to kubelets, by state: active or idle.',
    labelNames: ['state'],
    registers,
    collect() {
      const { active, idle } = state.connections()
      this.set({ state: 'active' }, active)
      this.set({ state: 'idle' }, idle)
    },
  })
  new Gauge({
    name: 'podsonar_proxy_token_age_seconds',
    help: 'Time since the token for kubelets was last read; absent where none is used.',
    labelNames: [],
    registers,
    collect() {
      const readAtMs = state.tokenReadAtMs()
      this.reset()
      if (readAtMs === undefined) this.remove()
      else this.set((Date.now() - readAtMs) / 1_000)
    },
  })
}
