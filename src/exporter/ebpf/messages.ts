/** What the main thread and the eBPF worker say to each other. */
import type { LogFields } from '../../common/logger.ts'
import type { SocketPass } from '../core/decode-socket-rows.ts'
import type { NamespaceTarget, SocketTable, SocketTableOptions } from '../core/socket-table.ts'
import type { SocketTableReaderOptions } from './socket-table-reader.ts'

/** What the worker can be asked for, by name: what it is given and what it answers. */
export interface Calls {
  /** Loads the socket table program. Before any read. */
  openSockets: { given: Omit<SocketTableReaderOptions, 'log'>; answer: undefined }
  readSockets: {
    given: { namespaces: readonly NamespaceTarget[]; options: SocketTableOptions }
    answer: SocketReading
  }
  /** Releases all that is loaded, and ends the worker. */
  close: { given: undefined; answer: undefined }
}

export type CallName = keyof Calls

export interface SocketReading {
  readonly table: SocketTable
  readonly pass: SocketPass
}

export interface Request<N extends CallName = CallName> {
  readonly id: number
  readonly name: N
  readonly given: Calls[N]['given']
}

/** An error as plain data: classes do not cross threads. */
export interface WorkerFailure {
  readonly code: string
  readonly message: string
  /** libbpf's and the verifier's words. */
  readonly messages: readonly string[]
}

export type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly failure: WorkerFailure }
  | { readonly log: LogFields; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string }
