import { describe, expect, it } from 'vitest'
import { formatAddress } from '../../../../src/exporter/core/address.ts'
import { tableOf as namespacesOf, type FlatTable } from '../../../../src/exporter/core/flat-table.ts'
import { SocketTableBuilder, TableMemory } from '../../../../src/exporter/core/socket-table-builder.ts'
import {
  SocketRow,
  tcpState,
  type NamespaceSockets,
  type SocketTable,
} from '../../../../src/exporter/core/socket-table.ts'

const host = 4_026_531_840

interface Socket {
  namespace?: number
  protocol?: 'tcp' | 'udp'
  local: string
  remote: string
  state?: number
  cgroupId?: number
  drops?: number
  rxQueue?: number
  txQueue?: number
}

/** `10.0.0.1:80` or `[20010db8,0,0,1]:80`, the words in hex. */
function parse(text: string): { family: 4 | 6; words: number[]; port: number } {
  const port = Number(text.slice(text.lastIndexOf(':') + 1))
  if (text.startsWith('[')) {
    const words = text.slice(1, text.indexOf(']')).split(',')
    return { family: 6, words: words.map((word) => parseInt(word, 16)), port }
  }
  const bytes = text.slice(0, text.lastIndexOf(':')).split('.').map(Number)
  return { family: 4, words: [bytes.reduce((word, byte) => word * 256 + byte, 0), 0, 0, 0], port }
}

function tableOf(sockets: readonly Socket[], options = {}): SocketTable {
  return builderOf(sockets, options).finish()
}

function builderOf(sockets: readonly Socket[], options = {}, memory = new TableMemory()): SocketTableBuilder {
  const builder = new SocketTableBuilder(options, 16, memory)
  const row = new SocketRow()
  for (const { local, remote, ...rest } of sockets) {
    const [here, there] = [parse(local), parse(remote)]
    row.local.set(here.words)
    row.remote.set(there.words)
    Object.assign(row, {
      namespace: host,
      protocol: 'tcp',
      state: 1,
      cgroupId: 0,
      family: here.family,
      localPort: here.port,
      remotePort: there.port,
      ...rest,
    })
    builder.add(row)
  }
  return builder
}

function connectionsOf({ connections: { columns, from, to } }: NamespaceSockets): string[] {
  return Array.from({ length: to - from }, (_, k) => {
    const row = from + k
    const address = formatAddress(columns.remote, row * 4)
    const cgroup = columns.cgroupId[row] === 0 ? '' : ` cgroup ${String(columns.cgroupId[row])}`
    return `${String(columns.count[row])} × ${address} ${String(columns.remotePort[row])} state ${String(columns.state[row])}${cgroup}`
  })
}

describe('the socket table', () => {
  it('counts states per namespace and family', () => {
    const table = tableOf([
      { local: '10.0.0.1:1000', remote: '10.0.0.9:5432' },
      { local: '10.0.0.1:1001', remote: '10.0.0.9:5432', state: tcpState.closeWait },
      { local: '[20010db8,0,0,1]:1000', remote: '[20010db8,0,0,2]:5432', state: tcpState.timeWait },
      { local: '10.0.0.1:1000', remote: '10.0.0.9:5432', namespace: 7 },
    ])
    const sockets = table.namespaces.get(host)!
    expect(table.rows).toBe(4)
    expect([...sockets.tcp]).toEqual([0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    expect([...sockets.tcp6]).toEqual([0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])
    expect(table.namespaces.get(7)!.tcp[1]).toBe(1)
  })

  it('adds up UDP sockets, their queues and drops', () => {
    const socket = { protocol: 'udp', local: '0.0.0.0:53', remote: '0.0.0.0:0' } as const
    const { namespaces } = tableOf([
      { ...socket, drops: 1, rxQueue: 20, txQueue: 300 },
      { ...socket, drops: 2, rxQueue: 30, txQueue: 400 },
      { ...socket, local: '[0,0,0,0]:53', remote: '[0,0,0,0]:0', drops: 0, rxQueue: 5, txQueue: 0 },
    ])
    expect(namespaces.get(host)).toMatchObject({
      udp: { sockets: 2, drops: 3, rxQueue: 50, txQueue: 700 },
      udp6: { sockets: 1, drops: 0, rxQueue: 5, txQueue: 0 },
    })
    expect(connectionsOf(namespaces.get(host)!)).toEqual([])
  })

  it('counts equal peers together, per owner', () => {
    const { namespaces } = tableOf([
      { local: '10.0.0.1:1000', remote: '255.0.0.9:5432', cgroupId: 11 },
      { local: '10.0.0.1:1001', remote: '255.0.0.9:5432', cgroupId: 11 },
      { local: '10.0.0.1:1002', remote: '255.0.0.9:5432', cgroupId: 12 },
      { local: '10.0.0.1:1003', remote: '255.0.0.9:5433', cgroupId: 11 },
    ])
    expect(connectionsOf(namespaces.get(host)!)).toEqual([
      '2 × 255.0.0.9 5432 state 1 cgroup 11',
      '1 × 255.0.0.9 5432 state 1 cgroup 12',
      '1 × 255.0.0.9 5433 state 1 cgroup 11',
    ])
  })

  const served: Socket[] = [
    { local: '10.0.0.1:8080', remote: '10.0.0.9:40001' },
    { local: '10.0.0.1:8080', remote: '10.0.0.9:40002' },
    { local: '[0,0,0,0]:8080', remote: '[0,0,0,0]:0', state: tcpState.listen },
    { local: '10.0.0.1:8080', remote: '10.0.0.9:40003', namespace: 7 },
  ]

  it('folds the port of inbound peers where the namespace listens, even if that is seen last', () => {
    const { namespaces } = tableOf(served)
    expect(connectionsOf(namespaces.get(host)!)).toEqual(['2 × 10.0.0.9 0 state 1', '1 × :: 8080 state 10'])
    expect(connectionsOf(namespaces.get(7)!)).toEqual(['1 × 10.0.0.9 40003 state 1'])
  })

  it('keeps the port of inbound peers when asked', () => {
    const { namespaces } = tableOf(served, { inboundPorts: true })
    expect(connectionsOf(namespaces.get(host)!)).toContain('1 × 10.0.0.9 40002 state 1')
  })

  it('shows an IPv6-mapped peer as IPv4 and a request socket as SYN_RECV', () => {
    const { namespaces } = tableOf([
      { local: '10.0.0.1:1', remote: '10.0.0.9:5432', state: tcpState.synRecv },
      { local: '[0,0,ffff,a000001]:2', remote: '[0,0,ffff,a000009]:5432', state: tcpState.newSynRecv },
    ])
    expect(connectionsOf(namespaces.get(host)!)).toEqual(['2 × 10.0.0.9 5432 state 3'])
    expect(namespaces.get(host)!.tcp6[tcpState.synRecv]).toBe(1)
  })

  it('leaves loopback to loopback out of the connections, not out of the states', () => {
    const { namespaces } = tableOf([
      { local: '127.0.0.1:1', remote: '127.1.2.3:5432' },
      { local: '[0,0,0,1]:1', remote: '[0,0,0,1]:5432' },
      { local: '[0,0,ffff,7f000001]:1', remote: '[0,0,ffff,7f000001]:5432' },
      { local: '127.0.0.1:80', remote: '0.0.0.0:0', state: tcpState.listen },
      { local: '10.0.0.1:1', remote: '127.0.0.1:2' },
    ])
    const sockets = namespaces.get(host)!
    expect(connectionsOf(sockets)).toEqual(['1 × 0.0.0.0 80 state 10', '1 × 127.0.0.1 2 state 1'])
    expect(sockets.tcp[1]).toBe(2)
    expect(sockets.tcp6[1]).toBe(2)
  })

  it('moves to another thread without a copy', () => {
    const flat = builderOf(served).finishFlat()
    const moved = structuredClone(flat, { transfer: [flat.memory] })
    expect(flat.connections.remote).toHaveLength(0)
    const namespaces = [...namespacesOf(moved).namespaces.values()]
    expect(namespaces.map(connectionsOf)).toEqual([...tableOf(served).namespaces.values()].map(connectionsOf))
  })

  it('is the same in memory that a larger table left, by a builder that uses what the last one left', () => {
    const memory = new TableMemory()
    const build = (rows: readonly Socket[], spare?: ArrayBuffer): FlatTable =>
      builderOf(rows, {}, memory).finishFlat(spare)
    const large = build([...served, ...served.map((row) => ({ ...row, namespace: 8 }))])
    const again = build(served, large.memory)
    expect(again.memory).toBe(large.memory)
    const fresh = builderOf(served).finishFlat()
    for (const column of ['inodes', 'states', 'udp', 'offsets'] as const)
      expect([...again[column]]).toEqual([...fresh[column]])
    for (const column of ['remote', 'remotePort', 'state', 'count', 'cgroupId'] as const)
      expect([...again.connections[column]]).toEqual([...fresh.connections[column]])
    expect(again.rows).toBe(served.length)
    expect(build(served, new ArrayBuffer(8)).memory.byteLength).toBeGreaterThan(8)
  })

  it('holds a namespace without sockets when told of it', () => {
    const builder = new SocketTableBuilder()
    builder.namespace(9)
    expect(connectionsOf(builder.finish().namespaces.get(9)!)).toEqual([])
  })

  it('holds 200,000 different peers without losing one', () => {
    const builder = new SocketTableBuilder()
    const row = new SocketRow()
    row.state = tcpState.established
    for (let n = 0; n < 200_000; n += 1) {
      row.namespace = host + (n % 50)
      row.remote[0] = 0x0a000000 + n
      row.remotePort = n % 60_000
      builder.add(row)
    }
    const { namespaces } = builder.finish()
    const ranges = [...namespaces.values()].map(({ connections }) => connections)
    expect(ranges).toHaveLength(50)
    expect(ranges.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(200_000)
    expect(ranges.every(({ columns }) => columns.count.every((n) => n === 1))).toBe(true)
  })
})
