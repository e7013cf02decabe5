/**
 * Messages of rtnetlink(7) that lead from an interface to its other end. Numbers are those of linux/rtnetlink.h,
 * linux/if_link.h and linux/net_namespace.h; all in the byte order of the machine, which is little-endian here.
 */
import { PodsonarError } from '../../common/errors.ts'

const message = { error: 2, newLink: 16, getLink: 18, newNamespaceId: 88, getNamespaceId: 90 } as const
const linkAttribute = { name: 3, link: 5, info: 18, peerNamespace: 37 } as const
const kindAttribute = 1
const namespaceAttribute = { id: 1, descriptor: 3 } as const

/** An interface. */
export interface Link {
  readonly index: number
  readonly name: string
  /** `veth`, `bridge`, …; empty: hardware. */
  readonly kind: string
  /** Index of its other end; undefined: it has none. */
  readonly peerIndex: number | undefined
  /** The namespace of the other end, as this interface's namespace numbers it; undefined: the same namespace. */
  readonly peerNamespaceId: number | undefined
}

/** Asks for an interface by its index or its name. */
export function linkRequest(which: { readonly index: number } | { readonly name: string }): Buffer {
  const fixed = Buffer.alloc(16)
  if ('index' in which) fixed.writeInt32LE(which.index, 4)
  const name = 'name' in which ? [attribute(linkAttribute.name, Buffer.from(`${which.name}\0`))] : []
  return request(message.getLink, [fixed, ...name])
}

/** Asks which id the namespace that is open as `descriptor` has in the socket's namespace. */
export function namespaceIdRequest(descriptor: number): Buffer {
  const value = Buffer.alloc(4)
  value.writeInt32LE(descriptor)
  return request(message.getNamespaceId, [Buffer.alloc(4), attribute(namespaceAttribute.descriptor, value)])
}

/** @throws PodsonarError `netlink_failed` when the kernel refuses, or the answer is another */
export function parseLink(answer: Buffer): Link {
  const body = contents(answer, message.newLink)
  const attributes = parseAttributes(body.subarray(16))
  const info = parseAttributes(attributes.get(linkAttribute.info) ?? Buffer.alloc(0))
  return {
    index: body.readInt32LE(4),
    name: text(attributes.get(linkAttribute.name)),
    kind: text(info.get(kindAttribute)),
    peerIndex: attributes.get(linkAttribute.link)?.readInt32LE(),
    peerNamespaceId: attributes.get(linkAttribute.peerNamespace)?.readInt32LE(),
  }
}

/**
 * @returns -1: it has no id, so nothing here has its other end there
 * @throws PodsonarError `netlink_failed`
 */
export function parseNamespaceId(answer: Buffer): number {
  const attributes = parseAttributes(contents(answer, message.newNamespaceId).subarray(4))
  return attributes.get(namespaceAttribute.id)?.readInt32LE() ?? -1
}

function request(type: number, parts: readonly Buffer[]): Buffer {
  const length = 16 + parts.reduce((sum, part) => sum + part.length, 0)
  const head = Buffer.alloc(16)
  head.writeUInt32LE(length, 0)
  head.writeUInt16LE(type, 4)
  head.writeUInt16LE(1, 6) // NLM_F_REQUEST
  head.writeUInt32LE(1, 8)
  return Buffer.concat([head, ...parts], length)
}

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + ((value.length + 3) & ~3))
  bytes.writeUInt16LE(4 + value.length, 0)
  bytes.writeUInt16LE(type, 2)
  value.copy(bytes, 4)
  return bytes
}

function contents(answer: Buffer, wanted: number): Buffer {
  const type = answer.length < 20 ? 0 : answer.readUInt16LE(4)
  if (type === wanted) return answer.subarray(16, answer.readUInt32LE(0))
  const why = type === message.error ? `error ${-answer.readInt32LE(16)}` : `message ${type}`
  throw new PodsonarError('netlink_failed', `Cannot ask the kernel for an interface: it answered ${why}`)
}

function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16LE(at)
    if (length < 4 || at + length > bytes.length) break
    // The two highest bits are flags.
    found.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length))
    at += (length + 3) & ~3
  }
  return found
}

function text(value: Buffer | undefined): string {
  return value?.toString('utf8').replace(/\0.*$/s, '') ?? ''
}
