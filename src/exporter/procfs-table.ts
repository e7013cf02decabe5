import { Worker } from 'node:worker_threads'
import { PodsonarError } from '../common/errors.ts'
import { siblingModule } from '../common/worker.ts'
import { tableOf } from './core/flat-table.ts'
import type { NamespaceTarget, SocketTable, SocketTableSource } from './core/socket-table.ts'
import type { TableAnswer, TableRequest } from './procfs-table-worker.ts'

export interface ProcfsTableOptions {
  /** PROC_PATH, known to be right. */
  readonly root: string
  readonly inboundPorts: boolean
  /** Told of every namespace that could not be read, with the error code. */
  readonly onSkipped: (reason: string) => void
}

/**
 * The socket table from /proc/PID/net/{tcp,tcp6,udp,udp6}, each namespace by one of its processes. For every namespace the
 * kernel walks the hash table of the whole node: 300 namespaces take seconds. So a worker does it.
 */
export class ProcfsTableSource implements SocketTableSource, AsyncDisposable {
  readonly name = 'procfs'
  readonly #options: ProcfsTableOptions
  #worker: Worker | undefined

  constructor(options: ProcfsTableOptions) {
    this.#options = options
  }

  async read(namespaces: readonly NamespaceTarget[], signal: AbortSignal): Promise<SocketTable> {
    signal.throwIfAborted()
    const worker = (this.#worker ??= this.#start())
    const { root, inboundPorts } = this.#options
    const request: TableRequest = { root, inboundPorts, namespaces }
    const { tables, unreadable } = await new Promise<TableAnswer>((resolve, reject) => {
      const onEnd = (cause: unknown): void => {
        settle()
        this.#worker = undefined
        reject(
          new PodsonarError('table_failed', 'Cannot read the socket table from /proc: the worker ended', {
            cause,
          }),
        )
      }
      const onAbort = (): void => {
        settle()
        reject(signal.reason as Error)
      }
      const onAnswer = (answer: TableAnswer): void => {
        settle()
        resolve(answer)
      }
      const settle = (): void => {
        worker.off('message', onAnswer).off('error', onEnd).off('exit', onEnd)
        signal.removeEventListener('abort', onAbort)
      }
      worker.on('message', onAnswer).on('error', onEnd).on('exit', onEnd)
      signal.addEventListener('abort', onAbort)
      worker.postMessage(request)
    })
    for (const reason of unreadable.values()) this.#options.onSkipped(reason)
    return {
      namespaces: new Map(tables.flatMap((table) => [...tableOf(table).namespaces])),
      rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(siblingModule(import.meta.url, './procfs-table-worker'), {
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    })
    worker.unref()
    return worker
  }
}
