/** Collectors that need eBPF and have no other way. */
import { errorCode } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import { explainEbpfError } from './obstacle.ts'

/**
 * What `open` gives. Where it fails, the reason is logged once and the collector is left out: the answer is undefined.
 *
 * @param collector its name, as in COLLECTORS
 */
export async function openOrLeaveOut<T>(
  collector: string,
  open: () => Promise<T>,
  log: Logger,
): Promise<T | undefined> {
  try {
    return await open()
  } catch (error) {
    log.warn(
      { event: `${collector}_unavailable`, reason: errorCode(error) },
      `The collector ${collector} is left out, because ${await explainEbpfError(error)}`,
    )
    return undefined
  }
}
