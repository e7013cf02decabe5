/** What the kernel tells of connections at sidecars. */
import type { ConnectedPod } from '../core/sidecar/pod.ts'
import type { ConnectionReaderOptions } from './connection-reader.ts'
import { reopening } from './reopening.ts'
import type { SidecarReading } from './sidecar-reader.ts'
import type { EbpfWorker } from './worker-client.ts'

export interface SidecarOptions extends Omit<ConnectionReaderOptions, 'log'> {
  readonly worker: EbpfWorker
}

export class SidecarSource {
  readonly #options: SidecarOptions

  private constructor(options: SidecarOptions) {
    this.#options = options
  }

  /**
   * Attaches the program.
   *
   * @throws EbpfWorkerError
   */
  static async open(options: SidecarOptions): Promise<SidecarSource> {
    const source = new SidecarSource(options)
    await source.#open()
    return source
  }

  /** @param pods those that are watched from now on, and no others */
  read(pods: readonly ConnectedPod[], signal: AbortSignal): Promise<SidecarReading> {
    return reopening(
      () => this.#open(),
      () => this.#options.worker.call('readSidecars', { pods }, signal),
    )
  }

  async #open(): Promise<void> {
    const { worker, libbpf, objects } = this.#options
    await worker.call('openSidecars', { libbpf, objects })
  }
}
