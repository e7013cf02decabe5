/** Where functions are in a program or library: ELF of 64 bits, little-endian; see elf(5). */

/** Reads a part of the file; shorter at its end. */
export type ReadPart = (offset: number, length: number) => Promise<Buffer>

/** SHT_DYNSYM, which is far smaller and has what a library offers, before SHT_SYMTAB. */
const sectionTypes = [11, 2] as const
const loadedSegment = 1 // PT_LOAD
const functionType = 2 // STT_FUNC
const [segmentSize, sectionSize, symbolSize] = [56, 64, 24]
/** Largest table that is read, in bytes, and the most segments and sections. */
const maxTable = 128 << 20
const maxHeaders = 4_096

interface Section {
  readonly type: number
  readonly offset: number
  readonly size: number
  readonly link: number
}

interface Segment {
  readonly offset: number
  readonly address: number
  readonly size: number
}

/**
 * Offsets in the file of those of `names` that it defines as functions. The table of dynamic symbols is
 * looked through, and, where none of them is in it, that of all symbols, which a stripped program does not have. Empty for
 * what is no such file.
 */
export async function elfFunctions(read: ReadPart, names: readonly string[]): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  const header = await read(0, 64)
  // Magic number, 64 bits, little-endian.
  if (header.length < 64 || header.readUInt32BE(0) !== 0x7f45_4c46 || header[4] !== 2 || header[5] !== 1)
    return found
  const segments = await readSegments(read, wide(header, 32), header.readUInt16LE(56))
  const sections = await readSections(read, wide(header, 40), header.readUInt16LE(60))
  for (const section of sectionTypes.flatMap((type) => sections.filter((one) => one.type === type))) {
    if (found.size > 0) break
    const strings = sections[section.link]
    if (strings === undefined) continue
    if (section.size > maxTable || strings.size > maxTable) continue
    const text = await read(strings.offset, strings.size)
    const wanted = namesAt(text, names)
    if (wanted.size === 0) continue
    const symbols = await read(section.offset, section.size)
    for (let at = 0; at + symbolSize <= symbols.length; at += symbolSize) {
      const name = wanted.get(symbols.readUInt32LE(at))
      const isFunction = ((symbols[at + 4] ?? 0) & 0xf) === functionType && symbols.readUInt16LE(at + 6) !== 0
      if (name === undefined || !isFunction) continue
      const offset = offsetOf(segments, wide(symbols, at + 8))
      if (offset !== undefined) found.set(name, offset)
    }
  }
  return found
}

async function readSegments(read: ReadPart, offset: number, count: number): Promise<Segment[]> {
  const table = await read(offset, Math.min(count, maxHeaders) * segmentSize)
  const segments: Segment[] = []
  for (let at = 0; at + segmentSize <= table.length; at += segmentSize)
    if (table.readUInt32LE(at) === loadedSegment)
      segments.push({
        offset: wide(table, at + 8),
        address: wide(table, at + 16),
        size: wide(table, at + 32),
      })
  return segments
}

async function readSections(read: ReadPart, offset: number, count: number): Promise<Section[]> {
  const table = await read(offset, Math.min(count, maxHeaders) * sectionSize)
  const sections: Section[] = []
  for (let at = 0; at + sectionSize <= table.length; at += sectionSize)
    sections.push({
      ...{ type: table.readUInt32LE(at + 4), link: table.readUInt32LE(at + 40) },
      ...{ offset: wide(table, at + 24), size: wide(table, at + 32) },
    })
  return sections
}

/** Where in a table of strings the names are: also as the end of a longer one, which linkers share. */
function namesAt(text: Buffer, names: readonly string[]): Map<number, string> {
  const places = new Map<number, string>()
  for (const name of names)
    for (let at = text.indexOf(`${name}\0`); at >= 0; at = text.indexOf(`${name}\0`, at + 1))
      places.set(at, name)
  return places
}

function offsetOf(segments: readonly Segment[], address: number): number | undefined {
  const segment = segments.find((one) => address >= one.address && address < one.address + one.size)
  return segment && address - segment.address + segment.offset
}

function wide(data: Buffer, at: number): number {
  return Number(data.readBigUInt64LE(at))
}
