/** What keeps an eBPF program from running here, looked up and put into words. */
import { readFile } from 'node:fs/promises'
import { release } from 'node:os'
import { describeError, errorCode } from '../../common/errors.ts'
import { effectiveCapabilities, explainObstacle } from '../core/ebpf-fallback.ts'
import { EbpfWorkerError } from './worker-client.ts'

/**
 * One sentence without its full stop.
 *
 * @param needsLinux the oldest kernel that the program can work on
 */
export async function explainEbpfError(error: unknown, needsLinux = '6.1'): Promise<string> {
  return explainObstacle({
    code: errorCode(error) ?? 'bpf_failed',
    message: describeError(error),
    messages: error instanceof EbpfWorkerError ? error.messages : [],
    ...{ kernelRelease: release(), needsLinux },
    capabilities: effectiveCapabilities(await readFile('/proc/self/status', 'utf8')),
  })
}
