/** What the main thread and the eBPF worker say to each other. */
import type { LogFields } from '../../common/logger.ts'
import type { SocketPass } from '../core/decode-socket-rows.ts'
import type { FlatTable } from '../core/flat-table.ts'
import type { SocketTableOptions } from '../core/socket-table.ts'
import type { ConnectedPod } from '../core/sidecar/pod.ts'
import type { LiveTcp } from '../core/live-tcp.ts'
import type { ConnectionReaderOptions } from './connection-reader.ts'
import type { SidecarReading } from './sidecar-reader.ts'
import type { SocketTableReaderOptions } from './socket-table-reader.ts'
import type {
  RequestReaderOptions,
  RequestReading,
  TakenSpans,
  UsedHooks,
  WatchedCgroup,
} from './request-reader.ts'
import type { StackReaderOptions, StackReading } from './stack-reader.ts'
import type { TlsLibrary } from './tls-probes.ts'
import type { SockopsContainer, SockopsOptions, SockopsReading } from './sockops-program.ts'
import type { OwnerKey, TcpHealthReaderOptions, TcpHealthReading } from './tcp-health-reader.ts'

/** What the worker can be asked for, by name: what it is given and what it answers. */
export interface Calls {
  /** Loads the socket table program. Before any read. */
  openSockets: { given: Omit<SocketTableReaderOptions, 'log'>; answer: undefined }
  readSockets: {
    /**
     * `namespaces`: inodes of those that shall be in the table even without a socket. `spare`: memory of a table that is
     * not needed any more, for the answer's; moved.
     */
    given: {
      namespaces: Uint32Array
      options: SocketTableOptions & LiveOption
      spare: ArrayBuffer | undefined
    }
    answer: SocketReading
  }
  /** Attaches the TCP health programs. Before any reading of them. */
  openHealth: { given: Omit<TcpHealthReaderOptions, 'log'>; answer: undefined }
  readHealth: { given: { longSeconds: number; forget: readonly OwnerKey[] }; answer: TcpHealthReading }
  /** Attaches the programs that see requests, and answers to which hooks. Before any watching and reading of them. */
  openRequests: { given: Omit<RequestReaderOptions, 'log' | 'onExchange'>; answer: UsedHooks }
  /** Answers why libraries are not followed. */
  watchRequests: {
    given: { cgroups: readonly WatchedCgroup[]; libraries: readonly TlsLibrary[] }
    answer: string | undefined
  }
  /** `calls`: of gRPC, else of HTTP. */
  readRequests: { given: { calls: boolean }; answer: RequestReading }
  takeSpans: { given: undefined; answer: TakenSpans }
  /** Attaches the programs that time packets. Before any reading of them. */
  openStack: { given: Omit<StackReaderOptions, 'log'>; answer: undefined }
  /** `namespaces`: inodes of those that are watched from now on. */
  readStack: { given: { namespaces: readonly number[] }; answer: StackReading }
  /** Attaches the program that tells of connections. Before any reading of sidecars. */
  openSidecars: { given: Omit<ConnectionReaderOptions, 'log'>; answer: undefined }
  /** `pods`: those that are watched from now on. */
  readSidecars: { given: { pods: readonly ConnectedPod[] }; answer: SidecarReading }
  /** Loads the programs that short-cut connections. Before any of the following. */
  openSockops: { given: Omit<SockopsOptions, 'log'>; answer: undefined }
  /** Answers with the programs of somebody else that are in the way. */
  watchSockops: { given: { containers: readonly SockopsContainer[] }; answer: readonly string[] }
  readSockops: { given: undefined; answer: SockopsReading }
  haltSockops: { given: undefined; answer: undefined }
  /** After the halt: how many sockets could not be given back yet. */
  releaseSockops: { given: undefined; answer: number }
  /** Releases all that is loaded, and ends the worker. */
  close: { given: undefined; answer: undefined }
}

export type CallName = keyof Calls

/** Whether the sums of {@link LiveTcp} are wanted too. */
export interface LiveOption {
  readonly live?: boolean
}

export interface SocketReading {
  readonly table: FlatTable
  readonly pass: SocketPass
  /** When it was asked for. */
  readonly live: LiveTcp | undefined
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
