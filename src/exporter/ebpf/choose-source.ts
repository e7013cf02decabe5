/** CONNECTIONS_SOURCE: decides, once at start, where the socket table comes from. */
import { describeError, errorCode } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import type { SocketTableSource } from '../core/socket-table.ts'
import { explainEbpfError } from './obstacle.ts'
import { EbpfSocketTable, type EbpfSocketTableOptions } from './socket-table-source.ts'
import { EbpfWorkerError } from './worker-client.ts'

export interface ChooseSourceOptions extends EbpfSocketTableOptions {
  /** `auto`: eBPF where it works, else /proc. */
  readonly choice: 'auto' | 'ebpf' | 'procfs'
  readonly procfs: SocketTableSource
  readonly log: Logger
}

/**
 * Opens the source that `choice` names. With `auto`, what keeps eBPF from working is logged once and /proc is used.
 *
 * @throws EbpfWorkerError with `ebpf` where that does not work
 */
export async function chooseSocketTableSource({
  choice,
  procfs,
  log,
  ...options
}: ChooseSourceOptions): Promise<SocketTableSource> {
  if (choice === 'procfs') return procfs
  try {
    const source = await EbpfSocketTable.open(options)
    log.info({ event: 'socket_table_source', source: 'ebpf' }, 'Sockets are read in one eBPF pass')
    return source
  } catch (error) {
    const reason = await explainEbpfError(error)
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
