/** What the kernel counts of TCP connections. */
import type { OwnerKey, TcpHealthReaderOptions, TcpHealthReading } from './tcp-health-reader.ts'
import { reopening } from './reopening.ts'
import type { EbpfWorker } from './worker-client.ts'

export interface TcpHealthOptions extends Omit<TcpHealthReaderOptions, 'log'> {
  readonly worker: EbpfWorker
  /** See `TcpHealthReader.read`. */
  readonly longSeconds: number
}

export class TcpHealthSource {
  readonly #options: TcpHealthOptions

  private constructor(options: TcpHealthOptions) {
    this.#options = options
  }

  /**
   * Attaches the programs.
   *
   * @throws EbpfWorkerError
   */
  static async open(options: TcpHealthOptions): Promise<TcpHealthSource> {
    const source = new TcpHealthSource(options)
    await source.#open()
    return source
  }

  /** @param forget owners whose places in the kernel's maps are free from now on */
  read(forget: readonly OwnerKey[], signal: AbortSignal): Promise<TcpHealthReading> {
    const { worker, longSeconds } = this.#options
    const given = { longSeconds, forget }
    return reopening(
      () => this.#open(),
      () => worker.call('readHealth', given, signal),
    )
  }

  async #open(): Promise<void> {
    const { worker, libbpf, objects, maxConnections, maxOwners } = this.#options
    await worker.call('openHealth', { libbpf, objects, maxConnections, maxOwners })
  }
}
