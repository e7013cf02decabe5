/**
 * The thread that all eBPF work runs in: a pass over a big table takes tens of milliseconds, which must not block
 * /metrics, and libbpf wants one thread. Started by worker-client.ts; ends by itself when nothing could be opened.
 */
import { parentPort } from 'node:worker_threads'
import { describeError, errorCode, PodsonarError } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import { LiveTcpBuilder } from '../core/live-tcp.ts'
import { SocketTableBuilder, TableMemory } from '../core/socket-table-builder.ts'
import { BpfError } from './bpf-error.ts'
import type { Answer, CallName, Calls, Request, SocketReading } from './messages.ts'
import { returnFreeMemory } from './libbpf.ts'
import { RequestReader } from './request-reader.ts'
import { SidecarReader } from './sidecar-reader.ts'
import { StackReader } from './stack-reader.ts'
import { SockopsPrograms } from './sockops-program.ts'
import { SocketTableReader } from './socket-table-reader.ts'
import { TcpHealthReader } from './tcp-health-reader.ts'

if (parentPort === null) throw new Error('Cannot run by itself: expected to be started as a worker')
const port = parentPort

const post = (answer: Answer): void => {
  port.postMessage(answer)
}
const logAt =
  (level: 'debug' | 'info' | 'warn' | 'error'): Logger['debug'] =>
  (log, message) => {
    post({ log, level, message })
  }
const log: Logger = {
  debug: logAt('debug'),
  info: logAt('info'),
  warn: logAt('warn'),
  error: logAt('error'),
  child: () => log,
}

const owned = new DisposableStack()
const tableMemory = new TableMemory()
let sockets: SocketTableReader | undefined
let health: TcpHealthReader | undefined
let requests: RequestReader | undefined
let stack: StackReader | undefined
let sidecars: SidecarReader | undefined
let sockops: SockopsPrograms | undefined

const handlers: { readonly [N in CallName]: (given: Calls[N]['given']) => Calls[N]['answer'] } = {
  openSockets: (options) => {
    sockets ??= owned.use(new SocketTableReader({ ...options, log }))
    return undefined
  },
  readSockets: ({ namespaces, options, spare }): SocketReading => {
    const live = options.live === true ? new LiveTcpBuilder() : undefined
    const { rows, pass } = opened(sockets).read(live === undefined ? 'few' : 'live')
    const builder = new SocketTableBuilder(options, pass.rows, tableMemory)
    for (const inode of namespaces) builder.namespace(inode)
    rows.addTo(builder, live, pass.rows)
    return { table: builder.finishFlat(spare), pass, live: live?.finish() }
  },
  openHealth: (options) => {
    health ??= owned.use(new TcpHealthReader({ ...options, log }))
    return undefined
  },
  readHealth: ({ longSeconds, forget }) => {
    const reader = opened(health)
    reader.forget(forget)
    return reader.read(longSeconds)
  },
  openRequests: (options) => {
    requests ??= owned.use(new RequestReader({ ...options, log }))
    return requests.hooks
  },
  watchRequests: ({ cgroups, libraries }) => opened(requests).watch(cgroups, libraries),
  readRequests: ({ calls }) => opened(requests).read(calls),
  takeSpans: () => opened(requests).takeSpans(),
  openStack: (options) => {
    stack ??= owned.use(new StackReader({ ...options, log }))
    return undefined
  },
  readStack: ({ namespaces }) => {
    const reader = opened(stack)
    reader.watch(namespaces)
    return reader.read()
  },
  openSidecars: (options) => {
    sidecars ??= owned.use(new SidecarReader({ ...options, log }))
    return undefined
  },
  readSidecars: ({ pods }) => {
    const reader = opened(sidecars)
    reader.watch(pods)
    return reader.read()
  },
  openSockops: (options) => {
    sockops ??= owned.use(new SockopsPrograms({ ...options, log }))
    return undefined
  },
  watchSockops: ({ containers }) => opened(sockops).watch(containers),
  readSockops: () => opened(sockops).read(),
  haltSockops: () => {
    opened(sockops).halt()
    return undefined
  },
  releaseSockops: () => opened(sockops).release(),
  close: () => {
    owned.dispose()
    port.close()
    return undefined
  },
}

/** In milliseconds. */
const returnMemoryEveryMs = 30_000
let memoryReturnedAt = -Infinity

/** After an answer, when nobody waits. */
function returnMemorySometimes(): void {
  if (performance.now() - memoryReturnedAt < returnMemoryEveryMs) return
  memoryReturnedAt = performance.now()
  returnFreeMemory()
}

function opened<T>(reader: T | undefined): T {
  if (reader === undefined)
    throw new PodsonarError(
      'ebpf_not_open',
      'Cannot read: the eBPF program is not loaded, expected an open call',
    )
  return reader
}

port.on('message', <N extends CallName>({ id, name, given }: Request<N>) => {
  try {
    const result = handlers[name](given)
    const moved = name === 'readSockets' ? [(result as SocketReading).table.memory] : []
    port.postMessage({ id, result } satisfies Answer, moved)
    if (name === 'readSockets') returnMemorySometimes()
  } catch (error) {
    const messages = error instanceof BpfError ? error.messages : []
    post({ id, failure: { code: errorCode(error) ?? 'bpf_failed', message: describeError(error), messages } })
    if ([sockets, health, requests, stack, sidecars, sockops].every((reader) => reader === undefined))
      port.close()
  }
})
