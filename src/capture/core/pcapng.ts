/**
 * Several pcap streams as one pcapng file. Source: draft-ietf-opsawg-pcapng: blocks of a type, a length, contents padded to
 * 32 bits, and the length again; options are a code, a length and a padded value.
 */
import { pcapFileHeaderBytes, pcapRecordHeaderBytes, readPcapHeader, type PcapHeader } from './pcap.ts'

const blockType = { section: 0x0a0d_0d0a, interface: 1, statistics: 5, packet: 6 } as const
const option = {
  end: 0,
  name: 2,
  filter: 11,
  resolution: 9,
  received: 4,
  dropped: 5,
  application: 4,
} as const

/** The section header block, with which a file begins. */
export function sectionHeader(application: string): Buffer {
  const fixed = Buffer.alloc(16)
  fixed.writeUInt32LE(0x1a2b_3c4d, 0) // byte-order magic
  fixed.writeUInt16LE(1, 4)
  fixed.writeBigInt64LE(-1n, 8) // the length of the section is not known
  return block(blockType.section, [fixed, options([[option.application, Buffer.from(application)]])])
}

/** One interface of the file, fed by one pcap stream. */
export class PcapngInterface {
  readonly #index: number
  readonly #name: string
  readonly #filter: string
  #header: PcapHeader | undefined

  /**
   * @param index how many interfaces began before this one
   * @param name what people see: `shop/web-0`
   */
  constructor(index: number, name: string, filter: string) {
    this.#index = index
    this.#name = name
    this.#filter = filter
  }

  /**
   * Turns whole packets of the stream into blocks; the first piece begins with the file header.
   *
   * @throws PodsonarError `not_pcap`
   */
  convert(bytes: Buffer): Buffer[] {
    const blocks: Buffer[] = []
    let at = 0
    if (this.#header === undefined) {
      this.#header = readPcapHeader(bytes)
      blocks.push(this.#description(this.#header))
      at = pcapFileHeaderBytes
    }
    const { littleEndian, nanoseconds } = this.#header
    while (at < bytes.length) {
      const word = (offset: number): number =>
        littleEndian ? bytes.readUInt32LE(at + offset) : bytes.readUInt32BE(at + offset)
      const time = BigInt(word(0)) * (nanoseconds ? 1_000_000_000n : 1_000_000n) + BigInt(word(4))
      const captured = word(8)
      const fixed = Buffer.alloc(20)
      fixed.writeUInt32LE(this.#index, 0)
      fixed.writeUInt32LE(Number(time >> 32n), 4)
      fixed.writeUInt32LE(Number(time & 0xffff_ffffn), 8)
      fixed.writeUInt32LE(captured, 12)
      fixed.writeUInt32LE(word(12), 16)
      const start = at + pcapRecordHeaderBytes
      blocks.push(block(blockType.packet, [fixed, padded(bytes.subarray(start, start + captured))]))
      at = start + captured
    }
    return blocks
  }

  /** Its closing words: how many packets the kernel saw and dropped. */
  statistics(received: number, dropped: number): Buffer {
    const fixed = Buffer.alloc(12)
    fixed.writeUInt32LE(this.#index, 0)
    return block(blockType.statistics, [
      fixed,
      options([
        [option.received, uint64(received)],
        [option.dropped, uint64(dropped)],
      ]),
    ])
  }

  #description({ linkType, snaplen, nanoseconds }: PcapHeader): Buffer {
    const fixed = Buffer.alloc(8)
    fixed.writeUInt16LE(linkType, 0)
    fixed.writeUInt32LE(snaplen, 4)
    return block(blockType.interface, [
      fixed,
      options([
        [option.name, Buffer.from(this.#name)],
        [option.resolution, Buffer.of(nanoseconds ? 9 : 6)],
        // The first byte: the filter is a text.
        ...(this.#filter === ''
          ? []
          : [[option.filter, Buffer.from(`\0${this.#filter}`)] as [number, Buffer]]),
      ]),
    ])
  }
}

function block(type: number, contents: readonly Buffer[]): Buffer {
  const length = 12 + contents.reduce((sum, { length: each }) => sum + each, 0)
  const head = Buffer.alloc(8)
  head.writeUInt32LE(type, 0)
  head.writeUInt32LE(length, 4)
  const tail = Buffer.alloc(4)
  tail.writeUInt32LE(length, 0)
  return Buffer.concat([head, ...contents, tail], length)
}

function options(list: readonly (readonly [code: number, value: Buffer])[]): Buffer {
  const parts = [...list, [option.end, Buffer.alloc(0)] as const].flatMap(([code, value]) => {
    const head = Buffer.alloc(4)
    head.writeUInt16LE(code, 0)
    head.writeUInt16LE(value.length, 2)
    return [head, padded(value)]
  })
  return Buffer.concat(parts)
}

function padded(bytes: Buffer): Buffer {
  const padding = (4 - (bytes.length % 4)) % 4
  return padding === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(padding)])
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
