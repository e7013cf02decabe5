/** The main thread's side of the eBPF worker. */
import { Worker } from 'node:worker_threads'
import { PodsonarError } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import { siblingModule } from '../../common/worker.ts'
import type { Answer, CallName, Calls, Request } from './messages.ts'

/**
 * What the worker could not do. `code` as in BpfError and LibbpfError; `ebpf_worker_ended` when it died, `ebpf_not_open`
 * when it is a new one since.
 */
export class EbpfWorkerError extends PodsonarError {
  /** libbpf's and the verifier's words. */
  readonly messages: readonly string[]

  constructor(code: string, message: string, messages: readonly string[] = [], options?: ErrorOptions) {
    super(code, message, options)
    this.messages = messages
  }
}

/** How long the worker may take to release what it loaded, in milliseconds. */
const closeWithinMs = 3_000

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/** libbpf has one print function for the whole process, so that loading is done by one worker at a time. */
let loading: Promise<unknown> = Promise.resolve()

/** A worker that is started by the first call, and again by the next one after it ended. */
export class EbpfWorker implements AsyncDisposable {
  readonly #log: Logger
  readonly #waiting = new Map<number, Waiting>()
  #running: { readonly worker: Worker; readonly exited: Promise<void> } | undefined
  #lastId = 0

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Asks the worker.
   *
   * @param moved memory in `given` that is the worker's from now on
   * @throws EbpfWorkerError, or the reason of `signal`; the worker then finishes what it began all the same
   */
  async call<N extends CallName>(
    name: N,
    given: Calls[N]['given'],
    signal?: AbortSignal,
    moved: readonly ArrayBuffer[] = [],
  ): Promise<Calls[N]['answer']> {
    if (!name.startsWith('open')) return this.#call(name, given, signal, moved)
    const opened = loading.then(() => this.#call(name, given, signal, moved))
    loading = opened.catch(() => undefined)
    return opened
  }

  async #call<N extends CallName>(
    name: N,
    given: Calls[N]['given'],
    signal: AbortSignal | undefined,
    moved: readonly ArrayBuffer[],
  ): Promise<Calls[N]['answer']> {
    signal?.throwIfAborted()
    const { worker } = (this.#running ??= this.#start())
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const onAbort = (): void => {
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiting.set(id, { resolve, reject })
    worker.ref()
    worker.postMessage({ id, name, given } satisfies Request<N>, moved)
    try {
      return (await promise) as Calls[N]['answer']
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) worker.unref()
    }
  }

  /** Lets the worker release what it loaded, and ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running === undefined) return
    const { worker, exited } = this.#running
    const timer = setTimeout(() => void worker.terminate(), closeWithinMs)
    await this.call('close', undefined).catch(() => undefined)
    worker.ref()
    await exited
    clearTimeout(timer)
  }

  #start(): { worker: Worker; exited: Promise<void> } {
    const worker = new Worker(siblingModule(import.meta.url, './worker'), {
      name: 'ebpf',
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    })
    worker.on('message', (answer: Answer) => {
      if ('log' in answer) this.#log[answer.level](answer.log, answer.message)
      else this.#settle(answer)
    })
    let cause: unknown
    worker.on('error', (error) => {
      cause = error
    })
    const exited = new Promise<void>((resolve) => {
      worker.once('exit', () => {
        this.#running = undefined
        const error = new EbpfWorkerError('ebpf_worker_ended', 'The eBPF worker has ended', [], { cause })
        for (const waiting of this.#waiting.values()) waiting.reject(error)
        resolve()
      })
    })
    return { worker, exited }
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
}
