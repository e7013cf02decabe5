import { describe, expect, it } from 'vitest'
import { elfFunctions, type ReadPart } from '../../../../../src/exporter/core/requests/elf-functions.ts'

interface Symbol {
  readonly name: string
  readonly address: number
  /** 2: function; 1: object. */
  readonly type?: number
  /** 0: of another file. */
  readonly section?: number
}

const dynamic = 11
const all = 2

/** A file of one segment, whose addresses are 0x1000 above its offsets from 0x200 on, and these tables of symbols. */
function elf(tables: Readonly<Record<number, readonly Symbol[]>>): Buffer {
  const header = Buffer.alloc(64)
  header.write('\x7fELF\x02\x01', 'latin1')
  const segment = Buffer.alloc(56)
  segment.writeUInt32LE(1, 0)
  for (const [at, value] of [
    [8, 0x200],
    [16, 0x1200],
    [32, 0x1_0000],
  ] as const)
    segment.writeBigUInt64LE(BigInt(value), at)
  const sections: Buffer[] = [Buffer.alloc(64)]
  const contents: Buffer[] = []
  let end = header.length + segment.length
  const add = (type: number, content: Buffer, link: number): void => {
    const section = Buffer.alloc(64)
    section.writeUInt32LE(type, 4)
    section.writeBigUInt64LE(BigInt(end), 24)
    section.writeBigUInt64LE(BigInt(content.length), 32)
    section.writeUInt32LE(link, 40)
    sections.push(section)
    contents.push(content)
    end += content.length
  }
  for (const [type, symbols] of Object.entries(tables)) {
    let text = '\0'
    const entries = symbols.map(({ name, address, type: kind = 2, section = 1 }) => {
      const entry = Buffer.alloc(24)
      entry.writeUInt32LE(text.length, 0)
      entry[4] = 0x10 | kind
      entry.writeUInt16LE(section, 6)
      entry.writeBigUInt64LE(BigInt(address), 8)
      text += `${name}\0`
      return entry
    })
    add(3, Buffer.from(text), 0)
    add(Number(type), Buffer.concat(entries), sections.length - 1)
  }
  header.writeBigUInt64LE(64n, 32)
  header.writeUInt16LE(1, 56)
  header.writeBigUInt64LE(BigInt(end), 40)
  header.writeUInt16LE(sections.length, 60)
  return Buffer.concat([header, segment, ...contents, ...sections])
}

const reading =
  (file: Buffer): ReadPart =>
  (offset, length) =>
    Promise.resolve(file.subarray(offset, offset + length))

const names = ['SSL_read', 'SSL_write']

describe('functions of ELF files', () => {
  it('are found by name, as offsets in the file', async () => {
    const file = elf({
      [dynamic]: [
        { name: 'My_SSL_read', address: 0x1300 },
        { name: 'SSL_read', address: 0x1400 },
        { name: 'SSL_write', address: 0x1500 },
        { name: 'SSL_writer', address: 0x1600 },
      ],
    })
    expect(Object.fromEntries(await elfFunctions(reading(file), names))).toEqual({
      SSL_read: 0x400,
      SSL_write: 0x500,
    })
  })

  it('are not those that it takes from others, nor objects, nor outside of what is loaded', async () => {
    const file = elf({
      [dynamic]: [
        { name: 'SSL_read', address: 0, section: 0 },
        { name: 'SSL_write', address: 0x1500, type: 1 },
      ],
      [all]: [{ name: 'SSL_write', address: 0x10 }],
    })
    expect(await elfFunctions(reading(file), names)).toEqual(new Map())
  })

  it('are looked for among all symbols where they are not offered to others', async () => {
    const file = elf({ [all]: [{ name: 'SSL_read', address: 0x1400 }], [dynamic]: [] })
    expect(await elfFunctions(reading(file), names)).toEqual(new Map([['SSL_read', 0x400]]))
  })

  it('are none in what is no such file, or is cut anywhere', async () => {
    const file = elf({ [dynamic]: [{ name: 'SSL_read', address: 0x1400 }] })
    for (const other of [Buffer.alloc(0), Buffer.from('#!/bin/sh\n'.repeat(20)), Buffer.alloc(500)])
      expect(await elfFunctions(reading(other), names)).toEqual(new Map())
    for (let length = 0; length < file.length; length += 1)
      expect((await elfFunctions(reading(file.subarray(0, length)), names)).size).toBeLessThanOrEqual(1)
  })

  it('are found in the program that runs this test', async () => {
    const { open } = await import('node:fs/promises')
    await using file = await open(process.execPath)
    const found = await elfFunctions(async (offset, length) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
      return buffer.subarray(0, bytesRead)
    }, names)
    expect([...found.keys()].sort()).toEqual(names)
  })
})
