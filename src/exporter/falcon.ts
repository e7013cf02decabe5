import { Backoff } from '../common/backoff.ts'
import { describeError, PodsonarError } from '../common/errors.ts'
import { pause } from '../common/lifecycle.ts'
import type { Logger } from '../common/logger.ts'
import type { FalconValue } from './core/falcon.ts'

export interface FalconOptions {
  /** The agent's push address: `http://127.0.0.1:1988/v1/push`. */
  readonly url: string
  /** Seconds between values. */
  readonly stepSeconds: number
  /** Reads the values of a moment, in seconds since 1970. */
  readonly read: (timestamp: number) => Promise<readonly FalconValue[]>
  /** Told how many values the agent took, and how many were thrown away because it did not. */
  readonly onPushed: (values: number) => void
  readonly onDropped: (values: number) => void
  readonly log: Logger
}

/** Readings that wait while the agent does not answer; older ones are dropped. */
const maxWaiting = 20
/** How long one push may take, in milliseconds. */
const pushMs = 5_000

/**
 * Pushes values to an open-falcon agent at whole multiples of its step. While the agent does not answer, readings wait,
 * oldest first, and the push is tried again with growing pauses.
 */
export class FalconPusher implements AsyncDisposable {
  readonly #options: FalconOptions
  readonly #stopped = new AbortController()
  readonly #waiting: (readonly FalconValue[])[] = []
  readonly #loops: Promise<unknown>
  #wake = new AbortController()

  constructor(options: FalconOptions) {
    this.#options = options
    this.#loops = Promise.all([this.#readLoop(), this.#pushLoop()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    this.#wake.abort()
    await this.#loops
  }

  async #readLoop(): Promise<void> {
    const { stepSeconds, read, onDropped, log } = this.#options
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const stepMs = stepSeconds * 1_000
      await pause(stepMs - (Date.now() % stepMs), signal)
      if (this.#stopped.signal.aborted) return
      try {
        const timestamp = Math.round(Date.now() / stepMs) * stepSeconds
        this.#waiting.push(await read(timestamp))
        while (this.#waiting.length > maxWaiting) onDropped(this.#waiting.shift()?.length ?? 0)
        this.#wake.abort()
      } catch (error) {
        log.warn(
          { event: 'falcon_read_failed', error: describeError(error) },
          'Cannot read the values for open-falcon',
        )
      }
    }
  }

  async #pushLoop(): Promise<void> {
    const { onPushed, log } = this.#options
    const { signal } = this.#stopped
    const backoff = new Backoff({ firstMs: 1_000, maxMs: 30_000 })
    let failing = false
    while (!signal.aborted) {
      const [values] = this.#waiting
      if (values === undefined) {
        this.#wake = new AbortController()
        await pause(60_000, this.#wake.signal)
        continue
      }
      try {
        await this.#push(values)
        // Whatever was dropped meanwhile was older than this one, or is this one.
        if (this.#waiting[0] === values) this.#waiting.shift()
        onPushed(values.length)
        backoff.reset()
        failing = false
      } catch (error) {
        if (!failing && !this.#stopped.signal.aborted)
          log.warn(
            { event: 'falcon_push_failed', error: describeError(error) },
            'open-falcon takes no values: trying again',
          )
        failing = true
        await pause(backoff.nextMs(), signal)
      }
    }
  }

  async #push(values: readonly FalconValue[]): Promise<void> {
    const response = await fetch(this.#options.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(values),
      signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(pushMs)]),
    })
    const text = await response.text()
    if (!response.ok)
      throw new PodsonarError(
        'falcon_refused',
        `Cannot push to open-falcon: ${response.status} ${text.slice(0, 200)}, expected 200`,
      )
  }
}
