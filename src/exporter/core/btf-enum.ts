/**
 * Names of an enumeration of the running kernel, from its type information: /sys/kernel/btf/vmlinux.
 * Format: https://docs.kernel.org/bpf/btf.html and include/uapi/linux/btf.h.
 */
import { PodsonarError } from '../../common/errors.ts'

const magic = 0xeb9f
const kind = {
  int: 1,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  prototype: 13,
  variable: 14,
  section: 15,
  tag: 17,
  enum64: 19,
} as const

/**
 * The names of the values of `enum name`; the first one, should there be several. Empty when there is none.
 *
 * @throws PodsonarError `malformed_btf`
 */
export function readBtfEnum(btf: Uint8Array, name: string): Map<number, string> {
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength)
  try {
    if (view.getUint16(0, true) !== magic) throw new RangeError('no BTF')
    const headerLength = view.getUint32(4, true)
    const [typesAt, typesLength] = [headerLength + view.getUint32(8, true), view.getUint32(12, true)]
    const namesAt = headerLength + view.getUint32(16, true)
    const nameAt = (offset: number): string => {
      const from = namesAt + offset
      return Buffer.from(btf.subarray(from, btf.indexOf(0, from))).toString('latin1')
    }
    for (let at = typesAt; at < typesAt + typesLength;) {
      const info = view.getUint32(at + 4, true)
      const [typeKind, length] = [(info >>> 24) & 0x1f, info & 0xffff]
      if (typeKind === kind.enum && length > 0 && nameAt(view.getUint32(at, true)) === name)
        return new Map(
          Array.from({ length }, (_, index) => {
            const entry = at + 12 + index * 8
            return [view.getUint32(entry + 4, true), nameAt(view.getUint32(entry, true))]
          }),
        )
      at += 12 + sizeBehind(typeKind, length)
    }
    return new Map()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new PodsonarError('malformed_btf', `Cannot read the types of this kernel: ${error.message}`)
  }
}

/** Bytes that follow a type's first twelve. */
function sizeBehind(typeKind: number, length: number): number {
  switch (typeKind) {
    case kind.int:
    case kind.variable:
    case kind.tag:
      return 4
    case kind.array:
      return 12
    case kind.struct:
    case kind.union:
    case kind.section:
    case kind.enum64:
      return length * 12
    case kind.enum:
    case kind.prototype:
      return length * 8
    default:
      return 0
  }
}

/** `no_socket` for SKB_DROP_REASON_NO_SOCKET; a number where the kernel has no name, as for those of its modules. */
export function dropReasonName(names: ReadonlyMap<number, string>, reason: number): string {
  const name = names.get(reason)
  return name === undefined ? String(reason) : name.replace(/^SKB_(DROP_REASON_)?/, '').toLowerCase()
}
