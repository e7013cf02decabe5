/** The socket table from one eBPF pass over the kernel's hash tables. */
import type { Logger } from '../../common/logger.ts'
import type { SocketPass } from '../core/decode-socket-rows.ts'
import type {
  NamespaceTarget,
  SocketTable,
  SocketTableOptions,
  SocketTableSource,
} from '../core/socket-table.ts'
import type { SocketTableReaderOptions } from './socket-table-reader.ts'
import { EbpfWorker } from './worker-client.ts'

export interface EbpfSocketTableOptions extends SocketTableOptions, Omit<SocketTableReaderOptions, 'log'> {
  readonly log: Logger
}

export class EbpfSocketTable implements SocketTableSource, AsyncDisposable {
  readonly name = 'ebpf'
  readonly #worker: EbpfWorker
  readonly #options: SocketTableOptions
  #lastPass: SocketPass | undefined

  private constructor(worker: EbpfWorker, options: SocketTableOptions) {
    this.#worker = worker
    this.#options = options
  }

  /**
   * Starts the worker, loads the program and reads the table once, so that what cannot work fails here.
   *
   * @throws EbpfWorkerError
   */
  static async open({
    log,
    inboundPorts = false,
    ...reader
  }: EbpfSocketTableOptions): Promise<EbpfSocketTable> {
    await using owned = new AsyncDisposableStack()
    const worker = owned.use(new EbpfWorker(log))
    await worker.call('openSockets', reader)
    const source = new EbpfSocketTable(worker, { inboundPorts })
    await source.read([])
    owned.move()
    return source
  }

  /** What the last pass met; undefined before the first. */
  get lastPass(): SocketPass | undefined {
    return this.#lastPass
  }

  /** The whole node's table, whatever `namespaces` are: those without a socket are in it too when they are named. */
  async read(namespaces: readonly NamespaceTarget[], signal?: AbortSignal): Promise<SocketTable> {
    const options = this.#options
    const { table, pass } = await this.#worker.call('readSockets', { namespaces, options }, signal)
    this.#lastPass = pass
    return table
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker[Symbol.asyncDispose]()
  }
}
