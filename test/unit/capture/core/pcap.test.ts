import { describe, expect, it } from 'vitest'
import { PcapFramer, readPcapHeader } from '../../../../src/capture/core/pcap.ts'
import { pcapHeader, pcapRecord } from '../../../support/pcap.ts'

const sizes = [60, 1_514, 0, 9_000, 1]
const records = sizes.map((size, index) => pcapRecord(Buffer.alloc(size, index + 1)))
const file = Buffer.concat([pcapHeader(), ...records])

/** Ends of the file header and of each packet. */
const boundaries = records.reduce((ends, { length }) => [...ends, (ends.at(-1) ?? 0) + length], [24])

describe('the framer of pcap streams', () => {
  it.each([1, 7, 16, 24, 39, 1_000, 65_536, 1_000_000])(
    'lets whole packets pass, whatever the pieces: %i bytes each',
    (piece) => {
      const framer = new PcapFramer()
      const passed: Buffer[] = []
      for (let at = 0; at < file.length; at += piece) {
        passed.push(...framer.take(file.subarray(at, at + piece)))
        const length = passed.reduce((sum, one) => sum + one.length, 0)
        expect([0, ...boundaries]).toContain(length)
        expect(framer.bytes).toBe(length)
      }
      expect(Buffer.concat(passed).equals(file)).toBe(true)
      expect(framer.packets).toBe(sizes.length)
    },
  )

  it('holds back a packet that is cut, and the file is valid up to there', () => {
    const framer = new PcapFramer()
    const passed = framer.take(file.subarray(0, file.length - 20))
    expect(Buffer.concat(passed).length).toBe(boundaries[3])
    expect(framer.packets).toBe(3)
  })

  it.each([
    [24, 0],
    [99, 0],
    [100, 1],
    [1_700, 3],
    [file.length - 1, 4],
    [file.length, 5],
  ])('ends before %i bytes are exceeded, after packet %i', (maxBytes, packets) => {
    for (const piece of [13, 100_000]) {
      const framer = new PcapFramer(maxBytes)
      const passed: Buffer[] = []
      for (let at = 0; at < file.length; at += piece)
        passed.push(...framer.take(file.subarray(at, at + piece)))
      expect(Buffer.concat(passed).length).toBe(boundaries[packets])
      expect([framer.packets, framer.bytes, framer.full]).toEqual([packets, boundaries[packets], packets < 5])
    }
  })

  it('reads both byte orders', () => {
    const big = Buffer.concat([pcapHeader({ bigEndian: true }), pcapRecord(Buffer.from('abc'), 1, 2, true)])
    const framer = new PcapFramer()
    expect(Buffer.concat(framer.take(big)).equals(big)).toBe(true)
    expect(framer.packets).toBe(1)
    expect(readPcapHeader(big)).toEqual({
      littleEndian: false,
      nanoseconds: false,
      snaplen: 262_144,
      linkType: 1,
    })
  })

  it('refuses what is no pcap, and a packet that no tcpdump writes', () => {
    expect(() => new PcapFramer().take(Buffer.alloc(64, 'x'))).toThrow(/does not begin as a pcap file does/)
    const absurd = pcapRecord(Buffer.alloc(4))
    absurd.writeUInt32LE(0x7fff_ffff, 8)
    expect(() => new PcapFramer().take(Buffer.concat([pcapHeader(), absurd]))).toThrow(
      /a packet of 2147483647 bytes/,
    )
  })
})
