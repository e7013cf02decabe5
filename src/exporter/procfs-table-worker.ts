/** Runs in a worker: reads and aggregates the socket files of /proc, which takes a second per few thousand sockets. */
import { parentPort } from 'node:worker_threads'
import { errorCode } from '../common/errors.ts'
import { SocketFileParser, socketFiles } from './core/parse-net-sockets.ts'
import type { FlatTable } from './core/flat-table.ts'
import { SocketTableBuilder, TableMemory } from './core/socket-table-builder.ts'
import { SocketRow, type NamespaceTarget } from './core/socket-table.ts'
import { Procfs } from './procfs.ts'

/** What the worker is asked. */
export interface TableRequest {
  readonly root: string
  readonly inboundPorts: boolean
  readonly namespaces: readonly NamespaceTarget[]
}

/** What it answers. */
export interface TableAnswer {
  /** A table for each namespace that could be read. */
  readonly tables: readonly FlatTable[]
  /** Why a namespace is not in the table, as an error code, by inode. */
  readonly unreadable: ReadonlyMap<number, string>
}

const buffer = Procfs.streamBuffer()
const memory = new TableMemory()

function readTable({ root, inboundPorts, namespaces }: TableRequest): TableAnswer {
  const procfs = Procfs.trusted(root)
  const unreadable = new Map<number, string>()
  const tables: FlatTable[] = []
  for (const { inode, pids } of namespaces) {
    let reason = 'process_gone'
    const table = pids.reduce<FlatTable | undefined>((found, pid) => {
      if (found !== undefined) return found
      try {
        return readNamespace(procfs, inode, pid, inboundPorts)
      } catch (error) {
        reason = errorCode(error) ?? 'error'
        return undefined
      }
    }, undefined)
    if (table === undefined) unreadable.set(inode, reason)
    else tables.push(table)
  }
  return { tables, unreadable }
}

/** A namespace that fails midway leaves nothing behind: it has a builder of its own. */
function readNamespace(procfs: Procfs, inode: number, pid: number, inboundPorts: boolean): FlatTable {
  const builder = new SocketTableBuilder({ inboundPorts }, 1_024, memory)
  builder.namespace(inode)
  const row = new SocketRow()
  row.namespace = inode
  for (const file of socketFiles) {
    const parser = new SocketFileParser(file, builder, row)
    const left = procfs.stream(pid, `net/${file}`, buffer, (bytes, length) => parser.push(bytes, length))
    if (left !== undefined) parser.end(left)
  }
  return builder.finishFlat()
}

parentPort?.on('message', (request: TableRequest) => {
  const answer = readTable(request)
  parentPort?.postMessage(
    answer,
    answer.tables.map(({ memory }) => memory),
  )
})
