import { errorCode } from '../../common/errors.ts'

/**
 * Asks the eBPF worker. Where it had ended and this is a new one, without the programs, they are opened first.
 *
 * @throws EbpfWorkerError
 */
export async function reopening<T>(open: () => Promise<unknown>, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (errorCode(error) !== 'ebpf_not_open') throw error
    await open()
    return ask()
  }
}
