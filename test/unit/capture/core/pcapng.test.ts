import { expect, it } from 'vitest'
import { PcapngInterface, sectionHeader } from '../../../../src/capture/core/pcapng.ts'
import { pcapHeader, pcapRecord } from '../../../support/pcap.ts'

/** Type and contents of each block; fails where lengths do not match. */
function blocks(file: Buffer): { type: number; body: Buffer }[] {
  const found = []
  for (let at = 0; at < file.length;) {
    const length = file.readUInt32LE(at + 4)
    expect(length % 4).toBe(0)
    expect(file.readUInt32LE(at + length - 4)).toBe(length)
    found.push({ type: file.readUInt32LE(at), body: file.subarray(at + 8, at + length - 4) })
    at += length
  }
  return found
}

it('merges two pcap streams into interfaces with names, a filter, times and statistics', () => {
  const first = new PcapngInterface(0, 'shop/web-0', 'udp')
  const second = new PcapngInterface(1, 'shop/web-1', '')
  const file = Buffer.concat([
    sectionHeader('podsonar test'),
    ...first.convert(
      Buffer.concat([pcapHeader({ linkType: 276 }), pcapRecord(Buffer.from('hello'), 1_700_000_000, 7)]),
    ),
    ...second.convert(pcapHeader()),
    ...second.convert(pcapRecord(Buffer.from('abcd'))),
    ...first.convert(pcapRecord(Buffer.from('again'))),
    first.statistics(12, 3),
  ])
  const found = blocks(file)
  expect(found.map(({ type }) => type)).toEqual([0x0a0d0d0a, 1, 6, 1, 6, 6, 5])
  const [, description, packet, other, ofSecond, , statistics] = found.map(({ body }) => body)
  expect(description?.readUInt16LE(0)).toBe(276)
  expect(description?.toString('latin1')).toContain('shop/web-0')
  expect(description?.toString('latin1')).toContain('\0udp')
  expect(other?.readUInt16LE(0)).toBe(1)
  expect(ofSecond?.readUInt32LE(0)).toBe(1)
  const time = (BigInt(packet?.readUInt32LE(4) ?? 0) << 32n) + BigInt(packet?.readUInt32LE(8) ?? 0)
  expect(time).toBe(1_700_000_000_000_007n)
  expect(packet?.subarray(20, 25).toString()).toBe('hello')
  expect(statistics?.readBigUInt64LE(16)).toBe(12n)
  expect(statistics?.readBigUInt64LE(28)).toBe(3n)
})
