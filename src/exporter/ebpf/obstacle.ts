/** What keeps an eBPF program from running here, looked up and put into words. */
import { readFile } from 'node:fs/promises'
import { release } from 'node:os'
import { describeError, errorCode } from '../../common/errors.ts'
import { effectiveCapabilities, explainObstacle } from '../core/ebpf-fallback.ts'
import { EbpfWorkerError } from './worker-client.ts'

/** One sentence without its full stop. */
export async function explainEbpfError(error: unknown): Promise<string> {
  return explainObstacle({
    code: errorCode(error) ?? 'bpf_failed',
    message: describeError(error),
    messages: error instanceof EbpfWorkerError ? error.messages : [],
    kernelRelease: release(),
    capabilities: effectiveCapabilities(await readFile('/proc/self/status', 'utf8')),
  })
}
