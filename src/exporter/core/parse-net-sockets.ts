/**
 * /proc/PID/net/{tcp,tcp6,udp,udp6}, see proc(5) and net/ipv4/tcp_ipv4.c (get_tcp4_sock and the like). Reads bytes, not
 * strings: these files have tens of thousands of lines.
 *
 *       sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode …
 *        0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 20345 1 …
 *
 * Each word of an address is printed as the number that its bytes are in memory, so little-endian on most machines.
 * Lines of udp end with `… inode ref pointer drops`.
 */
import { PodsonarError } from '../../common/errors.ts'
import type { SocketTableBuilder } from './socket-table-builder.ts'
import type { SocketRow } from './socket-table.ts'

/** The four files, by name. */
export const socketFiles = ['tcp', 'tcp6', 'udp', 'udp6'] as const
export type SocketFile = (typeof socketFiles)[number]

const newline = 10
const space = 32
const colon = 58
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** Feeds the lines of one file to a builder, chunk by chunk. */
export class SocketFileParser {
  readonly #builder: SocketTableBuilder
  readonly #row: SocketRow
  readonly #file: SocketFile
  readonly #words: number
  #line = 0

  /** @param row filled for every line; its `namespace` is the caller's */
  constructor(file: SocketFile, builder: SocketTableBuilder, row: SocketRow) {
    this.#file = file
    this.#builder = builder
    this.#row = row
    this.#words = file.endsWith('6') ? 4 : 1
    row.protocol = file.startsWith('tcp') ? 'tcp' : 'udp'
    row.family = file.endsWith('6') ? 6 : 4
    row.cgroupId = 0
    row.local.fill(0)
    row.remote.fill(0)
  }

  /**
   * Reads the whole lines of `bytes[0..length)`.
   *
   * @returns how many bytes were used: what is left is the beginning of a line, to be given again with more behind it
   * @throws PodsonarError `malformed_proc_file` at a line that the kernel does not write
   */
  push(bytes: Uint8Array, length: number): number {
    let start = 0
    for (;;) {
      const end = bytes.indexOf(newline, start)
      if (end === -1 || end >= length) return start
      if (this.#line > 0) this.#parse(bytes, start, end)
      else if (!isHeader(bytes, start, end)) this.#fail(bytes, start, end)
      this.#line += 1
      start = end + 1
    }
  }

  /**
   * To be called at the end of the file.
   *
   * @param left the bytes that {@link push} did not use
   * @throws PodsonarError `malformed_proc_file` when the file was cut within a line or is empty
   */
  end(left: Uint8Array): void {
    if (left.length > 0 || this.#line === 0) this.#fail(left, 0, left.length)
  }

  #parse(bytes: Uint8Array, start: number, end: number): void {
    const row = this.#row
    let at = start
    while (bytes[at] === space) at += 1
    while (isDigit(bytes[at])) at += 1
    const addressLength = this.#words * 8 + 5
    // `: LOCAL:PORT REMOTE:PORT ST TX:RX`, all of fixed width from here on
    const local = at + 2
    const remote = local + addressLength + 1
    const state = remote + addressLength + 1
    const queues = state + 3
    if (
      queues + 17 >= end ||
      bytes[at] !== colon ||
      bytes[at + 1] !== space ||
      bytes[local + this.#words * 8] !== colon ||
      bytes[remote - 1] !== space ||
      bytes[remote + this.#words * 8] !== colon ||
      bytes[state - 1] !== space ||
      bytes[queues - 1] !== space ||
      bytes[queues + 8] !== colon ||
      bytes[queues + 17] !== space
    )
      this.#fail(bytes, start, end)
    let bad = 0
    const hex = (from: number, digits: number): number => {
      let value = 0
      for (let k = from; k < from + digits; k += 1) {
        const digit = hexDigit(bytes[k] ?? 0)
        bad |= digit
        value = (value << 4) | (digit & 15)
      }
      return value
    }
    for (let word = 0; word < this.#words; word += 1) {
      row.local[word] = networkOrder(hex(local + word * 8, 8))
      row.remote[word] = networkOrder(hex(remote + word * 8, 8))
    }
    row.localPort = hex(local + this.#words * 8 + 1, 4)
    row.remotePort = hex(remote + this.#words * 8 + 1, 4)
    row.state = hex(state, 2)
    row.txQueue = hex(queues, 8) >>> 0
    row.rxQueue = hex(queues + 9, 8) >>> 0
    if (bad > 15) this.#fail(bytes, start, end)
    if (row.protocol === 'udp') row.drops = this.#drops(bytes, start, end)
    else this.#requireFields(bytes, queues + 18, end)
    this.#builder.add(row)
  }

  /** The last number of a line of udp, which has 13 fields. */
  #drops(bytes: Uint8Array, start: number, lineEnd: number): number {
    let end = lineEnd
    while (end > start && bytes[end - 1] === space) end -= 1
    let at = end
    while (at > start && isDigit(bytes[at - 1])) at -= 1
    if (at === end || countFields(bytes, start, end) !== 13) this.#fail(bytes, start, lineEnd)
    let drops = 0
    for (let k = at; k < end; k += 1) drops = drops * 10 + ((bytes[k] ?? 0) - 48)
    return drops
  }

  /** TCP lines go on with `tr:when retrnsmt uid timeout inode …`: a line that stops before was cut. */
  #requireFields(bytes: Uint8Array, from: number, end: number): void {
    if (countFields(bytes, from, end) < 5) this.#fail(bytes, from, end)
  }

  #fail(bytes: Uint8Array, start: number, end: number): never {
    const text = Buffer.from(bytes.subarray(start, end)).toString('latin1').slice(0, 100)
    throw new PodsonarError(
      'malformed_proc_file',
      `Cannot read line ${this.#line + 1} of net/${this.#file}: ${JSON.stringify(text)}, expected a line as in proc(5)`,
    )
  }
}

/** The first line names the columns. */
function isHeader(bytes: Uint8Array, start: number, end: number): boolean {
  return Buffer.from(bytes.subarray(start, end)).toString('latin1').trimStart().startsWith('sl ')
}

function countFields(bytes: Uint8Array, start: number, end: number): number {
  let fields = 0
  for (let at = start; at < end; at += 1)
    if (bytes[at] !== space && (at === start || bytes[at - 1] === space)) fields += 1
  return fields
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 57
}

/** 0 to 15, or 16 when `byte` is no upper-case hexadecimal digit. */
function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  return byte >= 65 && byte <= 70 ? byte - 55 : 16
}

function networkOrder(word: number): number {
  if (!littleEndian) return word
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
}
