/** What the kernel counts of packets in the network stack. */
import { errorCode } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import { explainEbpfError } from './obstacle.ts'
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
   * Attaches the programs.
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

/** As {@link StackSource.open}; where that does not work, the reason is logged once and the answer is undefined. */
export async function openStack(options: StackOptions, log: Logger): Promise<StackSource | undefined> {
  try {
    return await StackSource.open(options)
  } catch (error) {
    log.warn(
      { event: 'stack_unavailable', reason: errorCode(error) },
      `The collector stack is left out, because ${await explainEbpfError(error)}`,
    )
    return undefined
  }
}
