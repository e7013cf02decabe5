/** Sends spans to an OTLP/HTTP receiver: https://opentelemetry.io/docs/specs/otlp/#otlphttp. */
import { Backoff } from '../../common/backoff.ts'
import { describeError } from '../../common/errors.ts'
import { pause } from '../../common/lifecycle.ts'
import type { Logger } from '../../common/logger.ts'
import { version } from '../../common/version.ts'
import type { Attributes, EncodeOptions } from '../core/requests/spans.ts'

/** `T`: what becomes spans. */
export interface SpanExporterOptions<T> {
  /** As in OTEL_EXPORTER_OTLP_ENDPOINT: spans go to its /v1/traces. */
  readonly endpoint: string
  /** Gives the spans that have come about since it was last called. */
  readonly take: (signal: AbortSignal) => Promise<readonly T[]>
  /** Makes an ExportTraceServiceRequest of them. */
  readonly encode: (spans: readonly T[], options: EncodeOptions) => Uint8Array<ArrayBuffer>
  /** Attributes of the resource that an owner is. */
  readonly resourceOf: (owner: string) => Attributes
  /** Told of spans by what became of them. */
  readonly onSpans: (outcome: 'exported' | 'dropped', spans: number) => void
  readonly log: Logger
}

/** How often spans are sent, in milliseconds. */
const everyMs = 1_000
const timeoutMs = 10_000
/** How often a request is tried that the receiver asks to be sent again, or that did not reach it. */
const attempts = 4
/** What the specification calls retryable. */
const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504])

export class SpanExporter<T> implements AsyncDisposable {
  readonly #options: SpanExporterOptions<T>
  readonly #url: string
  readonly #stopped = new AbortController()
  readonly #running: Promise<void>
  #failing = false

  constructor(options: SpanExporterOptions<T>) {
    this.#options = options
    this.#url = `${options.endpoint.replace(/\/+$/, '')}/v1/traces`
    this.#running = this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      await pause(everyMs, signal)
      const spans = await this.#options.take(signal).catch(() => [])
      if (spans.length > 0) await this.#send(spans, signal)
    }
  }

  async #send(spans: readonly T[], signal: AbortSignal): Promise<void> {
    const { resourceOf, onSpans, encode } = this.#options
    const body = encode(spans, {
      ...{ resourceOf, version, unixOffsetNs: BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint() },
      random: (into) => crypto.getRandomValues(into),
    })
    const backoff = new Backoff({ maxMs: 5_000 })
    for (let attempt = 1; ; attempt += 1) {
      const problem = await this.#post(body, signal)
      if (problem === undefined) {
        onSpans('exported', spans.length)
        this.#failing = false
        return
      }
      if (!problem.retry || attempt === attempts || signal.aborted) {
        onSpans('dropped', spans.length)
        this.#report(problem.reason)
        return
      }
      await pause(backoff.nextMs(), signal)
    }
  }

  async #post(
    body: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
  ): Promise<{ reason: string; retry: boolean } | undefined> {
    try {
      const response = await fetch(this.#url, {
        ...{ method: 'POST', body, headers: { 'content-type': 'application/x-protobuf' } },
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      })
      await response.arrayBuffer()
      if (response.ok) return undefined
      return { reason: `status ${response.status}`, retry: retryable.has(response.status) }
    } catch (error) {
      return { reason: describeError(error), retry: true }
    }
  }

  /** Once, until it works again. */
  #report(reason: string): void {
    if (this.#failing) return
    this.#failing = true
    this.#options.log.warn(
      { event: 'spans_dropped', url: this.#url, reason },
      'Spans were dropped: the OTLP receiver does not take them',
    )
  }
}
