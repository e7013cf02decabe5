/** The socket table from one eBPF pass over the kernel's hash tables. */
import type { SocketPass } from '../core/decode-socket-rows.ts'
import { tableOf } from '../core/flat-table.ts'
import type {
  NamespaceTarget,
  SocketTable,
  SocketTableOptions,
  SocketTableSource,
} from '../core/socket-table.ts'
import type { LiveOption, SocketReading } from './messages.ts'
import { reopening } from './reopening.ts'
import type { SocketTableReaderOptions } from './socket-table-reader.ts'
import type { EbpfWorker } from './worker-client.ts'

export interface EbpfSocketTableOptions
  extends SocketTableOptions, LiveOption, Omit<SocketTableReaderOptions, 'log'> {
  readonly worker: EbpfWorker
  /** Told of what each pass met. */
  readonly onPass?: ((pass: SocketPass) => void) | undefined
}

export class EbpfSocketTable implements SocketTableSource {
  readonly name = 'ebpf'
  readonly #options: EbpfSocketTableOptions
  /** Of the last table: whoever shows it may still do so while the next one is read. */
  #last: ArrayBuffer | undefined
  /** Of the one before it: for the next one. */
  #spare: ArrayBuffer | undefined

  private constructor(options: EbpfSocketTableOptions) {
    this.#options = options
  }

  /**
   * Loads the program and reads the table once, so that what cannot work fails here.
   *
   * @throws EbpfWorkerError
   */
  static async open(options: EbpfSocketTableOptions): Promise<EbpfSocketTable> {
    const source = new EbpfSocketTable(options)
    await source.#open()
    await source.read([])
    return source
  }

  /** The whole node's table, whatever `namespaces` are: those without a socket are in it too when they are named. */
  async read(namespaces: readonly NamespaceTarget[], signal?: AbortSignal): Promise<SocketTable> {
    const { table, pass, live } = await this.#read(namespaces, signal)
    this.#options.onPass?.(pass)
    this.#spare = this.#last
    this.#last = table.memory
    return live === undefined ? tableOf(table) : { ...tableOf(table), live }
  }

  #read(namespaces: readonly NamespaceTarget[], signal?: AbortSignal): Promise<SocketReading> {
    const { worker, inboundPorts = false, live = false } = this.#options
    const inodes = Uint32Array.from(namespaces, ({ inode }) => inode)
    return reopening(
      () => this.#open(),
      () => {
        const spare = this.#spare
        this.#spare = undefined // given away, whatever comes back
        const given = { namespaces: inodes, options: { inboundPorts, live }, spare }
        return worker.call('readSockets', given, signal, spare === undefined ? [] : [spare])
      },
    )
  }

  async #open(): Promise<void> {
    const { worker, libbpf, objects, rows, reads } = this.#options
    await worker.call('openSockets', { libbpf, objects, rows, reads })
  }
}
