import { errorCode } from '../common/errors.ts'
import { TimeSlice } from '../common/time-slice.ts'
import type { NetworkNamespace } from './core/containers.ts'

/**
 * Calls `read` for each item and gives the event loop a chance before and in between, so that no node is too large for /healthz,
 * and that collectors which begin at the same moment share its turn.
 *
 * @throws what `signal` is aborted with
 */
export async function eachInSlices<T>(
  items: readonly T[],
  signal: AbortSignal,
  read: (item: T) => void,
): Promise<void> {
  const slice = new TimeSlice()
  await slice.next()
  signal.throwIfAborted()
  for (const item of items) {
    if (slice.over) {
      await slice.next()
      signal.throwIfAborted()
    }
    read(item)
  }
}

/**
 * Reads each namespace by the first of its processes that can be read.
 *
 * @param onSkipped told the error code of a namespace where none could
 */
export async function eachNamespace(
  namespaces: readonly NetworkNamespace[],
  signal: AbortSignal,
  onSkipped: (reason: string) => void,
  read: (namespace: NetworkNamespace, pid: number) => void,
): Promise<void> {
  await eachInSlices(namespaces, signal, (namespace) => {
    let reason = 'process_gone'
    for (const pid of namespace.pids) {
      try {
        read(namespace, pid)
        return
      } catch (error) {
        reason = errorCode(error) ?? 'error'
      }
    }
    onSkipped(reason)
  })
}
