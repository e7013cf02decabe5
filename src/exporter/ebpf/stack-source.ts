/** What the kernel counts of packets in the network stack. */
import { reopening } from './reopening.ts'
import type { StackReaderOptions, StackReading } from './stack-reader.ts'
import type { EbpfWorker } from './worker-client.ts'

export interface StackOptions extends Omit<StackReaderOptions, 'log'> {
  readonly worker: EbpfWorker
}

export class StackSource {
  readonly #options: StackOptions

  private constructor(options: StackOptions) {
    this.#options = options
  }

  /**
   * Loads the programs; they are attached while namespaces are watched.
   *
   * @throws EbpfWorkerError
   */
  static async open(options: StackOptions): Promise<StackSource> {
    const source = new StackSource(options)
    await source.#open()
    return source
  }

  /** @param namespaces inodes of the network namespaces that are watched from now on, and no others */
  read(namespaces: readonly number[], signal: AbortSignal): Promise<StackReading> {
    const { worker } = this.#options
    return reopening(
      () => this.#open(),
      () => worker.call('readStack', { namespaces }, signal),
    )
  }

  async #open(): Promise<void> {
    const { worker, libbpf, objects } = this.#options
    await worker.call('openStack', { libbpf, objects })
  }
}
