/**
 * Header blocks of HTTP/2: RFC 7541. Made for an onlooker that may have joined late or missed blocks: an index whose entry
 * was never seen gives a field that is not known, and decoding goes on; entries that are added later are known again.
 */
import staticTable from 'hpack.js/lib/hpack/static-table.js'
import { decodeHuffman } from './huffman.ts'

/** What is not known of a field is undefined. */
export type OnField = (name: string | undefined, value: string | undefined) => void

interface Entry {
  readonly name: string | undefined
  readonly value: string | undefined
  readonly size: number
}

/** Size of the dynamic table until the peers agree on another (RFC 9113, SETTINGS_HEADER_TABLE_SIZE). */
const defaultTableSize = 4_096
/** A peer that keeps more than this is followed as far as this goes. */
const maxTableSize = 65_536
/** What an entry counts for besides its characters: RFC 7541 section 4.1. */
const entryOverhead = 32

/** One direction of one connection. */
export class HpackDecoder {
  /** The oldest first. What was there before we looked is not in it. */
  #entries: Entry[] = []
  #size = 0
  #maxSize = defaultTableSize
  #data: Uint8Array = new Uint8Array(0)
  #at = 0
  #end = 0

  /** Number of entries of the dynamic table that are known. */
  get known(): number {
    return this.#entries.length
  }

  /** What the table holds is not known any more: blocks were missed. */
  forget(): void {
    this.#entries = []
    this.#size = 0
  }

  /**
   * Decodes a whole block.
   *
   * @returns false when it is none; fields before the fault were given, and the table is forgotten
   */
  decode(data: Uint8Array, onField: OnField): boolean {
    this.#data = data
    this.#at = 0
    this.#end = data.length
    while (this.#at < this.#end) {
      if (this.#field(onField)) continue
      this.forget()
      return false
    }
    return true
  }

  /** Section 6: one representation. */
  #field(onField: OnField): boolean {
    const first = this.#data[this.#at] ?? 0
    if ((first & 0x80) !== 0) {
      const index = this.#integer(7)
      if (index === undefined || index === 0) return false
      const entry = this.#lookup(index)
      onField(entry?.name, entry?.value)
      return true
    }
    if ((first & 0xe0) === 0x20) {
      const size = this.#integer(5)
      if (size === undefined) return false
      this.#maxSize = Math.min(size, maxTableSize)
      this.#evict(this.#maxSize)
      return true
    }
    const indexed = (first & 0x40) !== 0
    const index = this.#integer(indexed ? 6 : 4)
    if (index === undefined) return false
    const name = index === 0 ? this.#string() : { text: this.#lookup(index)?.name }
    if (name === undefined) return false
    const value = this.#string()
    if (value === undefined) return false
    if (indexed) this.#insert(name.text, value.text)
    onField(name.text, value.text)
    return true
  }

  #lookup(index: number): Entry | { name: string; value: string } | undefined {
    return index <= staticTable.table.length
      ? staticTable.table[index - 1]
      : this.#entries[this.#entries.length - (index - staticTable.table.length)]
  }

  #insert(name: string | undefined, value: string | undefined): void {
    const size = entryOverhead + (name?.length ?? 0) + (value?.length ?? 0)
    this.#evict(this.#maxSize - size)
    if (size > this.#maxSize) return
    this.#entries.push({ name, value, size })
    this.#size += size
  }

  #evict(room: number): void {
    let gone = 0
    while (this.#size > Math.max(0, room) && gone < this.#entries.length)
      this.#size -= this.#entries[gone++]?.size ?? 0
    if (gone > 0) this.#entries.splice(0, gone)
  }

  /** Section 5.1. Undefined when it is cut, or of more than 28 bits. */
  #integer(prefixBits: number): number | undefined {
    const mask = (1 << prefixBits) - 1
    let value = (this.#data[this.#at++] ?? 0) & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) return undefined
      const octet = this.#data[this.#at++] ?? 0
      value += (octet & 0x7f) << shift
      if ((octet & 0x80) === 0) return value
    }
    return undefined
  }

  /** Section 5.2. Undefined when it is cut; `text` is undefined when its coding is wrong. */
  #string(): { text: string | undefined } | undefined {
    if (this.#at >= this.#end) return undefined
    const coded = ((this.#data[this.#at] ?? 0) & 0x80) !== 0
    const length = this.#integer(7)
    if (length === undefined || length > this.#end - this.#at) return undefined
    const start = this.#at
    this.#at += length
    return { text: coded ? decodeHuffman(this.#data, start, this.#at) : latin1(this.#data, start, this.#at) }
  }
}

/** Octets as characters. */
export function latin1(data: Uint8Array, start: number, end: number): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1', start, end)
}
