/**
 * A protobuf answer that is a list, taken apart without decoding it: `repeated Entry entries = 1`, where field 1 of an entry
 * is its id, as in CRI's lists of containers and sandboxes. Format: protobuf's wire format ("Encoding" in its documentation).
 */
import { PodsonarError } from '../../common/errors.ts'

/** One entry of the list. */
export interface ListEntry {
  readonly id: string
  /** A whole answer with this entry alone, to be decoded where it is needed. */
  readonly message: Uint8Array
}

/** @throws PodsonarError `malformed_answer` when the bytes are cut, or an entry has no id */
export function splitList(bytes: Uint8Array): ListEntry[] {
  const entries: ListEntry[] = []
  eachField(bytes, 0, bytes.length, ({ number, wireType, start, from, to }) => {
    if (number === 1 && wireType === lengthDelimited)
      entries.push({ id: idOf(bytes, from, to), message: bytes.subarray(start, to) })
    return true
  })
  return entries
}

function idOf(bytes: Uint8Array, from: number, to: number): string {
  let id = ''
  eachField(bytes, from, to, (field) => {
    if (field.number !== 1 || field.wireType !== lengthDelimited) return true
    id = Buffer.from(bytes.buffer, bytes.byteOffset + field.from, field.to - field.from).toString('utf8')
    return false
  })
  if (id === '') fail('an entry without an id')
  return id
}

const lengthDelimited = 2

interface Field {
  readonly number: number
  readonly wireType: number
  /** Where its tag begins. */
  readonly start: number
  /** Where its value is. */
  readonly from: number
  readonly to: number
}

/** @param take tells whether it wants the next one, too */
function eachField(bytes: Uint8Array, begin: number, end: number, take: (field: Field) => boolean): void {
  let at = begin
  const varint = (): number => {
    // Numbers of 64 bits lose their last digits: none of them is a tag or a length.
    let value = 0
    for (let shift = 1, digits = 0; at < end && digits < 10; shift *= 128, digits += 1) {
      const byte = bytes[at] ?? 0
      at += 1
      value += (byte & 0x7f) * shift
      if (byte < 0x80) return value
    }
    return fail('a number that does not end')
  }
  while (at < end) {
    const start = at
    const tag = varint()
    const wireType = tag % 8
    let from = at
    if (wireType === 0) varint()
    else if (wireType === 1) at += 8
    else if (wireType === 5) at += 4
    else if (wireType === lengthDelimited) {
      const length = varint()
      from = at
      at += length
    } else fail(`wire type ${wireType}`)
    if (at > end) fail('a field that does not end')
    if (!take({ number: Math.floor(tag / 8), wireType, start, from, to: at })) return
  }
}

function fail(found: string): never {
  throw new PodsonarError(
    'malformed_answer',
    `Cannot read a list of the container runtime: ${found}, expected protobuf`,
  )
}
