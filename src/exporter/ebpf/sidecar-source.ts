/** What the kernel tells of connections at sidecars. */
import { errorCode } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import type { ConnectedPod } from '../core/sidecar/pod.ts'
import type { ConnectionReaderOptions } from './connection-reader.ts'
import { explainEbpfError } from './obstacle.ts'
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

/** As {@link SidecarSource.open}; where that does not work, the reason is logged once and the answer is undefined. */
export async function openSidecars(options: SidecarOptions, log: Logger): Promise<SidecarSource | undefined> {
  try {
    return await SidecarSource.open(options)
  } catch (error) {
    log.warn(
      { event: 'sidecar_unavailable', reason: errorCode(error) },
      `The collector sidecar is left out, because ${await explainEbpfError(error)}`,
    )
    return undefined
  }
}
