/** The main thread's side of the eBPF worker. */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { PodsonarError } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import type { Answer, CallName, Calls, Request } from './messages.ts'

/** What the worker could not do. `code` as in BpfError and LibbpfError; `ebpf_worker_ended` when it is gone. */
export class EbpfWorkerError extends PodsonarError {
  /** libbpf's and the verifier's words. */
  readonly messages: readonly string[]

  constructor(code: string, message: string, messages: readonly string[] = []) {
    super(code, message)
    this.messages = messages
  }
}

/** How long the worker may take to release what it loaded, in milliseconds. */
const closeWithinMs = 3_000

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

export class EbpfWorker implements AsyncDisposable {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  readonly #exited: Promise<void>
  #lastId = 0
  #ended: Error | undefined

  constructor(log: Logger) {
    // The compiled program lies beside this file too, as .js.
    this.#worker = new Worker(new URL(`worker${extname(import.meta.filename)}`, import.meta.url), {
      name: 'ebpf',
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    })
    this.#worker.on('message', (answer: Answer) => {
      if ('log' in answer) log[answer.level](answer.log, answer.message)
      else this.#settle(answer)
    })
    this.#worker.on('error', (error: Error) => {
      this.#end(error)
    })
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#end(new EbpfWorkerError('ebpf_worker_ended', 'The eBPF worker has ended'))
        resolve()
      })
    })
    this.#worker.unref()
  }

  /**
   * Asks the worker.
   *
   * @throws EbpfWorkerError, or the reason of `signal`; the worker then finishes what it began all the same
   */
  async call<N extends CallName>(
    name: N,
    given: Calls[N]['given'],
    signal?: AbortSignal,
  ): Promise<Calls[N]['answer']> {
    signal?.throwIfAborted()
    if (this.#ended !== undefined) throw this.#ended
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const onAbort = (): void => {
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiting.set(id, { resolve, reject })
    this.#worker.ref()
    this.#worker.postMessage({ id, name, given } satisfies Request<N>)
    try {
      return (await promise) as Calls[N]['answer']
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) this.#worker.unref()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended === undefined) {
      const timer = setTimeout(() => void this.#worker.terminate(), closeWithinMs)
      await this.call('close', undefined).catch(() => undefined)
      clearTimeout(timer)
      this.#worker.ref()
    }
    await this.#exited
  }

  #settle(answer: Exclude<Answer, { log: unknown }>): void {
    const waiting = this.#waiting.get(answer.id)
    if ('failure' in answer) {
      const { code, message, messages } = answer.failure
      waiting?.reject(new EbpfWorkerError(code, message, messages))
    } else {
      waiting?.resolve(answer.result)
    }
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended)
  }
}
