import { readFile } from 'node:fs/promises'
import { describeError } from './errors.ts'
import { pause } from './lifecycle.ts'

export interface PolledFileOptions<T> {
  readonly path: string
  /**
   * Turns the text into what it stands for.
   *
   * @throws Error that says what is wrong with it, without showing a secret
   */
  readonly parse: (text: string) => T
  /** Milliseconds between readings. */
  readonly everyMs: number
  /** Milliseconds between readings while there is no usable value. @default 1000 */
  readonly retryMs?: number
  /** Called after the first reading, and after each that changed the value or the problem. */
  readonly onChange?: (file: PolledFile<T>) => void
}

/**
 * A small file that others replace while podsonar runs (tokens, certificates: Kubernetes swaps symbolic links, so its
 * content is compared, not watched). The last usable value is kept when a later reading fails.
 */
export class PolledFile<T> implements AsyncDisposable {
  readonly path: string
  readonly #options: PolledFileOptions<T>
  readonly #stopping = new AbortController()
  #polling: Promise<void> = Promise.resolve()
  #reading: Promise<void> | undefined
  #text: string | undefined
  #value: T | undefined
  #problem: string | undefined
  #readAtMs: number | undefined
  #tried = false

  private constructor(options: PolledFileOptions<T>) {
    this.path = options.path
    this.#options = options
  }

  /** Reads the file once, whatever the outcome, and goes on reading it until disposed of. */
  static async open<T>(options: PolledFileOptions<T>): Promise<PolledFile<T>> {
    const file = new PolledFile(options)
    await file.refresh()
    file.#polling = file.#poll()
    return file
  }

  /** What the newest usable reading gave; undefined while there was none. */
  get value(): T | undefined {
    return this.#value
  }

  /** What is wrong with the newest reading; undefined when it was good. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** When the value was last read or found unchanged, in milliseconds since the epoch. */
  get readAtMs(): number | undefined {
    return this.#readAtMs
  }

  /** Reads the file now. Never rejects; readings that overlap are one. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #read(): Promise<void> {
    const before = { value: this.#value, problem: this.#problem, tried: this.#tried }
    this.#tried = true
    try {
      const text = await readFile(this.path, 'utf8')
      if (text !== this.#text) {
        this.#value = this.#options.parse(text)
        this.#text = text
      }
      this.#problem = undefined
      this.#readAtMs = Date.now()
    } catch (error) {
      this.#problem = `Cannot use ${this.path}: ${describeError(error)}`
    }
    if (!before.tried || this.#value !== before.value || this.#problem !== before.problem)
      this.#options.onChange?.(this)
  }

  async #poll(): Promise<void> {
    const { everyMs, retryMs = 1_000 } = this.#options
    const { signal } = this.#stopping
    for (;;) {
      await pause(this.#value === undefined ? Math.min(retryMs, everyMs) : everyMs, signal)
      if (signal.aborted) return
      await this.refresh()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#polling
  }
}
