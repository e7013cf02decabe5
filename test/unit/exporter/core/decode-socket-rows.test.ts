import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import {
  decodeSocketPass,
  DetailedSocketRow,
  socketPassSize,
  SocketRows,
  socketRowSize,
} from '../../../../src/exporter/core/decode-socket-rows.ts'
import { LiveTcpBuilder } from '../../../../src/exporter/core/live-tcp.ts'
import { SocketTableBuilder } from '../../../../src/exporter/core/socket-table-builder.ts'
import { describeRow } from '../../../support/proc-sockets.ts'

function fixture(name: string): ArrayBuffer {
  const bytes = readFileSync(new URL(`../../../fixtures/ebpf/${name}`, import.meta.url))
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
}

function readRow(index: number): DetailedSocketRow {
  const row = new DetailedSocketRow()
  new SocketRows(fixture('socket-rows.bin')).read(index, row)
  return row
}

it('has whole rows', () => {
  expect(fixture('socket-rows.bin').byteLength).toBe(23 * socketRowSize)
  expect(fixture('socket-pass.bin').byteLength).toBe(socketPassSize)
})

it.each([
  ['a connection that nobody sends on', 1, 'tcp 4 7f000001:45443 7f000001:42550 state 1 tx 0 rx 0'],
  ['bytes that the peer has no room for', 7, 'tcp 4 7f000001:35214 7f000001:34221 state 1 tx 3782144 rx 0'],
  ['TIME_WAIT', 6, 'tcp 4 7f000001:35210 7f000001:34221 state 6 tx 0 rx 0'],
  ['a request that is not accepted yet', 0, 'tcp 4 7f000001:43257 7f000001:40508 state 3 tx 0 rx 0'],
  ['a listening socket with a queue', 15, 'tcp 4 00000000:45443 00000000:0 state 10 tx 0 rx 300'],
  [
    'IPv6',
    12,
    `tcp 6 ${'00000001'.padStart(32, '0')}:35283 ${'00000001'.padStart(32, '0')}:41726 state 1 tx 0 rx 6`,
  ],
  [
    'an IPv6-mapped peer',
    13,
    `tcp 6 ${'ffff0a010203'.padStart(32, '0')}:33099 ${'ffff0a010203'.padStart(32, '0')}:41384 state 1 tx 0 rx 0`,
  ],
])('decodes %s', (_what, index, expected) => {
  expect(describeRow(readRow(index))).toBe(`${expected} uid 0 drops 0`)
})

it('decodes UDP with its drops', () => {
  expect(describeRow(readRow(21))).toBe('udp 4 7f000001:50671 00000000:0 state 7 tx 0 rx 6912 uid 0 drops 17')
})

it('decodes what /proc does not show', () => {
  expect(readRow(7)).toMatchObject({
    namespace: 4_026_532_246,
    cgroupId: 1,
    srttUs: 4821,
    retransmits: 1,
    bytesAcked: 128_513,
    bytesReceived: 0,
  })
  expect(readRow(6).cgroupId).toBe(0)
  expect(readRow(15).txQueue).toBe(4096)
})

it('leaves nothing of the row before', () => {
  const row = new DetailedSocketRow()
  const rows = new SocketRows(fixture('socket-rows.bin'))
  rows.read(21, row)
  rows.read(6, row)
  expect(row).toMatchObject({ protocol: 'tcp', drops: 0, rxQueue: 0, retransmits: 0, cgroupId: 0 })
})

it.each([false, true])(
  'counts rows as it decodes them, one by one (ports of inbound peers: %s)',
  (inboundPorts) => {
    const rows = new SocketRows(fixture('socket-rows.bin'))
    const [quick, slow] = [
      new SocketTableBuilder({ inboundPorts }, 1),
      new SocketTableBuilder({ inboundPorts }),
    ]
    const [live, expected] = [new LiveTcpBuilder(), new LiveTcpBuilder()]
    rows.addTo(quick, live, 23)
    for (let index = 0; index < 23; index += 1) {
      const row = readRow(index)
      slow.add(row)
      if (row.protocol === 'tcp')
        expected.add(row.namespace, row.cgroupId, row.state, row.srttUs, row.bytesReceived, row.bytesAcked)
    }
    expect(quick.finishFlat()).toEqual(slow.finishFlat())
    expect(live.finish()).toEqual(expected.finish())
  },
)

it('decodes where a pass stands', () => {
  expect(decodeSocketPass(new Uint8Array(fixture('socket-pass.bin')))).toEqual({
    rows: 705,
    torn: 0,
    retried: 0,
    namespaces: 2,
    privateTables: 0,
    done: true,
    failed: false,
  })
})
