import { describeError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import type { WritableLayer } from './runtimes/runtime.ts'
import type { Runtimes } from './runtimes/runtimes.ts'

/** How often runtimes are asked, in milliseconds. */
const everyMs = 60_000
/** How long one may take, in milliseconds. */
const callMs = 30_000

/**
 * What containers wrote, by container id. A runtime takes half a second to tell it of 300 containers, so it is asked in
 * the background, at most once a minute, when somebody wants to know.
 */
export class WritableLayers {
  readonly #runtimes: Runtimes
  readonly #log: Logger
  #latest: ReadonlyMap<string, WritableLayer> = new Map()
  #askedAt = -Infinity
  #asking: Promise<void> | undefined

  constructor(runtimes: Runtimes, log: Logger) {
    this.#runtimes = runtimes
    this.#log = log
  }

  /** What is known now; empty before the first answer. */
  latest(): ReadonlyMap<string, WritableLayer> {
    if (this.#asking === undefined && performance.now() - this.#askedAt > everyMs) {
      this.#askedAt = performance.now()
      this.#asking = this.#ask()
    }
    return this.#latest
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    try {
      const layers = await Promise.all(
        this.#runtimes.runtimes.map((runtime) => runtime.writableLayers(callMs)),
      )
      this.#latest = new Map(layers.flatMap((map) => [...map]))
    } catch (error) {
      this.#log.debug(
        { event: 'writable_layers_failed', error: describeError(error) },
        'A runtime did not tell what containers wrote',
      )
    } finally {
      this.#asking = undefined
    }
  }
}
