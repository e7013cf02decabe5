/** CONNECTIONS_SOURCE: decides, once at start, where the socket table comes from. */
import { readFile } from 'node:fs/promises'
import { release } from 'node:os'
import { describeError, errorCode } from '../../common/errors.ts'
import { effectiveCapabilities, explainObstacle } from '../core/ebpf-fallback.ts'
import type { SocketTableSource } from '../core/socket-table.ts'
import { EbpfSocketTable, type EbpfSocketTableOptions } from './socket-table-source.ts'
import { EbpfWorkerError } from './worker-client.ts'

export interface ChooseSourceOptions extends EbpfSocketTableOptions {
  /** `auto`: eBPF where it works, else /proc. */
  readonly choice: 'auto' | 'ebpf' | 'procfs'
  readonly procfs: SocketTableSource
}

/**
 * Opens the source that `choice` names. With `auto`, what keeps eBPF from working is logged once and /proc is used.
 *
 * @returns the source, which `owned` disposes of
 * @throws EbpfWorkerError with `ebpf` where that does not work
 */
export async function chooseSocketTableSource(
  { choice, procfs, ...options }: ChooseSourceOptions,
  owned: AsyncDisposableStack,
): Promise<SocketTableSource> {
  const { log } = options
  if (choice === 'procfs') return procfs
  try {
    const source = owned.use(await EbpfSocketTable.open(options))
    log.info({ event: 'socket_table_source', source: 'ebpf' }, 'Sockets are read in one eBPF pass')
    return source
  } catch (error) {
    const reason = await explain(error)
    if (choice === 'ebpf')
      throw new EbpfWorkerError(errorCode(error) ?? 'bpf_failed', `Cannot read sockets with eBPF: ${reason}`)
    log.warn(
      {
        event: 'socket_table_source',
        source: 'procfs',
        reason: errorCode(error),
        error: describeError(error),
      },
      `Sockets are read from /proc, which costs far more, because ${reason}`,
    )
    return procfs
  }
}

async function explain(error: unknown): Promise<string> {
  return explainObstacle({
    code: errorCode(error) ?? 'bpf_failed',
    message: describeError(error),
    messages: error instanceof EbpfWorkerError ? error.messages : [],
    kernelRelease: release(),
    capabilities: effectiveCapabilities(await readFile('/proc/self/status', 'utf8')),
  })
}
