import { describe, expect, it } from 'vitest'
import { formatAddress } from '../../../../src/exporter/core/address.ts'
import { SocketFileParser, type SocketFile } from '../../../../src/exporter/core/parse-net-sockets.ts'
import { SocketTableBuilder } from '../../../../src/exporter/core/socket-table-builder.ts'
import { SocketRow } from '../../../../src/exporter/core/socket-table.ts'

const tcpHeader =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n'
const tcpListen =
  '   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1218 1 000000005f475555 100 0 0 10 0                      \n'
const tcpTimeWait =
  '   1: 0200000A:8D96 507100CB:0050 06 00000000:00000000 03:00001345 00000000     0        0 0 3 0000000056e2dd2e                                      \n'
const tcp6Header =
  '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const tcp6Mapped =
  '   0: 0000000000000000FFFF00000200000A:1F90 0000000000000000FFFF00000300000A:C000 01 00000000:00000000 00:00000000 00000000   101        0 20345 1 0000000000000000 20 4 30 10 -1\n'
const tcp6Native =
  '   1: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:C000 08 00000000:00000000 00:00000000 00000000   101        0 20345 1 0000000000000000 20 4 30 10 -1\n'
const udpHeader =
  '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n'
const udpRow =
  '  325: 00000000:0035 00000000:0000 07 0000000A:00000300 00:00000000 00000000   101        0 20345 2 0000000000000000 17           \n'

function parse(file: SocketFile, text: string) {
  const builder = new SocketTableBuilder()
  builder.namespace(1)
  const row = new SocketRow()
  row.namespace = 1
  const parser = new SocketFileParser(file, builder, row)
  const bytes = Buffer.from(text)
  parser.end(bytes.subarray(parser.push(bytes, bytes.length)))
  return builder.finish().namespaces.get(1)!
}

describe('the files of sockets in /proc', () => {
  it('reads tcp', () => {
    const { tcp, connections } = parse('tcp', tcpHeader + tcpListen + tcpTimeWait)
    expect([...tcp]).toEqual([0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0])
    expect(formatAddress(connections.columns.remote, 4)).toBe('203.0.113.80')
    expect([...connections.columns.remotePort]).toEqual([8080, 80])
  })

  it('reads tcp6, IPv6-mapped peers as IPv4', () => {
    const { tcp6, connections } = parse('tcp6', tcp6Header + tcp6Mapped + tcp6Native)
    expect([...tcp6]).toEqual([0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    expect([0, 4].map((at) => formatAddress(connections.columns.remote, at))).toEqual([
      '10.0.0.3',
      '2001:db8::2',
    ])
  })

  it('reads udp with queues and drops', () => {
    expect(parse('udp', udpHeader + udpRow + udpRow).udp).toEqual({
      ...{ sockets: 2, drops: 34, rxQueue: 1536, txQueue: 20 },
    })
  })

  it('reads in pieces of any size', () => {
    const builder = new SocketTableBuilder()
    const parser = new SocketFileParser('tcp', builder, new SocketRow())
    const bytes = Buffer.from(tcpHeader + tcpListen + tcpTimeWait)
    let kept = Buffer.alloc(0)
    for (let at = 0; at < bytes.length; at += 7) {
      const piece = Buffer.concat([kept, bytes.subarray(at, at + 7)])
      kept = piece.subarray(parser.push(piece, piece.length))
    }
    parser.end(kept)
    expect(builder.finish().rows).toBe(2)
  })

  it.each([
    ['an empty file', 'tcp', ''],
    ['no header', 'tcp', tcpListen],
    ['a line cut short', 'tcp', (tcpHeader + tcpListen).slice(0, -20)],
    ['a line cut to its addresses', 'tcp', `${tcpHeader}${tcpListen.slice(0, 36)}\n`],
    ['a line cut before the inode', 'tcp', `${tcpHeader}${tcpListen.slice(0, 80)}\n`],
    ['a letter that is no digit', 'tcp', tcpHeader + tcpListen.replace('1F90', '1G90')],
    ['lower-case digits', 'tcp', tcpHeader + tcpListen.replace('1F90', '1f90')],
    ['lines of tcp6 in tcp', 'tcp', tcpHeader + tcp6Native],
    ['lines of tcp in tcp6', 'tcp6', tcp6Header + tcpListen],
    ['a line of udp without drops', 'udp', udpHeader + udpRow.replace(' 17 ', '    ')],
    ['other text', 'udp', 'no such file\n'],
  ] as const)('refuses %s', (_, file, text) => {
    expect(() => parse(file, text)).toThrow(/expected a line as in proc\(5\)/)
  })
})
