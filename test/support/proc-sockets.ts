/** The sockets of a network namespace as /proc shows them, and as the eBPF pass does, in one notation. */
import { readFileSync } from 'node:fs'
import { DetailedSocketRow } from '../../src/exporter/core/decode-socket-rows.ts'
import { tcpState } from '../../src/exporter/core/socket-table.ts'
import type { SocketFields, SocketTableReader } from '../../src/exporter/ebpf/socket-table-reader.ts'

/** `tcp 4 0a010203:80 0a010203:40000 state 1 tx 0 rx 5 uid 0 drops 0`, sorted: proc(5), /proc/net/tcp and the like. */
export function procSockets(pid: number): string[] {
  return (['tcp', 'tcp6', 'udp', 'udp6'] as const)
    .flatMap((file) =>
      readFileSync(`/proc/${pid}/net/${file}`, 'utf8')
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => describeProcLine(file, line.trim().split(/\s+/))),
    )
    .sort()
}

function describeProcLine(file: string, fields: readonly string[]): string {
  const [, local = '', remote = '', state = '', queues = '', , , uid = '', , , , , drops = ''] = fields
  const [tx = '', rx = ''] = queues.split(':')
  const protocol = file.slice(0, 3)
  return describe({
    protocol,
    family: file.endsWith('6') ? 6 : 4,
    local: endpoint(local),
    remote: endpoint(remote),
    state: parseInt(state, 16),
    tx: parseInt(tx, 16),
    rx: parseInt(rx, 16),
    uid: Number(uid),
    drops: protocol === 'udp' ? Number(drops) : 0,
  })
}

/** Every socket of the node, by a pass. */
export function socketRows(reader: SocketTableReader, fields: SocketFields = 'all'): DetailedSocketRow[] {
  const { rows, pass } = reader.read(fields)
  return Array.from({ length: pass.rows }, (_, index) => {
    const row = new DetailedSocketRow()
    rows.read(index, row)
    return row
  })
}

/** A row of the eBPF pass in the notation of {@link procSockets}, with what /proc leaves out left out. */
export function describeRow(row: DetailedSocketRow): string {
  const length = row.family === 4 ? 1 : 4
  const address = (words: Int32Array): string =>
    Array.from(words.subarray(0, length), (word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  const listening = row.protocol === 'tcp' && row.state === tcpState.listen
  return describe({
    protocol: row.protocol,
    family: row.family,
    local: `${address(row.local)}:${row.localPort}`,
    remote: `${address(row.remote)}:${row.remotePort}`,
    state: row.state === tcpState.newSynRecv ? tcpState.synRecv : row.state,
    tx: listening ? 0 : row.txQueue,
    rx: row.rxQueue,
    uid: row.uid,
    drops: row.drops,
  })
}

interface Described {
  protocol: string
  family: number
  local: string
  remote: string
  state: number
  tx: number
  rx: number
  uid: number
  drops: number
}

function describe({ protocol, family, local, remote, state, tx, rx, uid, drops }: Described): string {
  return `${protocol} ${family} ${local} ${remote} state ${state} tx ${tx} rx ${rx} uid ${uid} drops ${drops}`
}

/** /proc writes each word of an address in the machine's byte order. */
function endpoint(text: string): string {
  const [words = '', port = ''] = text.split(':')
  const swapped = words.match(/.{8}/g)?.map((word) => word.match(/../g)?.reverse().join('')) ?? []
  return `${swapped.join('').toLowerCase()}:${parseInt(port, 16)}`
}
