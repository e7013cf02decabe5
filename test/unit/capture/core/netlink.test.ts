import { expect, it } from 'vitest'
import {
  linkRequest,
  namespaceIdRequest,
  parseLink,
  parseNamespaceId,
} from '../../../../src/capture/core/netlink.ts'

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4)
  bytes.writeUInt16LE(4 + value.length, 0)
  bytes.writeUInt16LE(type, 2)
  value.copy(bytes, 4)
  return bytes
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

function message(type: number, fixed: Buffer, ...attributes: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(16)
  const whole = Buffer.concat([head, fixed, ...attributes])
  whole.writeUInt32LE(whole.length, 0)
  whole.writeUInt16LE(type, 4)
  return whole
}

it('asks by index or by name', () => {
  expect(linkRequest({ index: 15 }).readInt32LE(20)).toBe(15)
  expect(linkRequest({ index: 15 }).length).toBe(32)
  expect(linkRequest({ name: 'eth0' }).toString('latin1')).toContain('eth0\0')
  expect(namespaceIdRequest(7).readInt32LE(24)).toBe(7)
})

it('reads an interface, its kind and its other end', () => {
  const fixed = Buffer.alloc(16)
  fixed.writeInt32LE(2, 4)
  const info = attribute(0x8000 | 18, attribute(1, Buffer.from('veth\0')))
  const answer = message(
    ...[
      16,
      fixed,
      attribute(3, Buffer.from('eth0\0')),
      attribute(5, number(15)),
      attribute(37, number(0)),
      info,
    ],
  )
  expect(parseLink(answer)).toEqual({
    index: 2,
    name: 'eth0',
    kind: 'veth',
    peerIndex: 15,
    peerNamespaceId: 0,
  })
  expect(parseLink(message(16, fixed, attribute(3, Buffer.from('lo\0'))))).toEqual({
    ...{ index: 2, name: 'lo', kind: '', peerIndex: undefined, peerNamespaceId: undefined },
  })
})

it('reads the id of a namespace, and says when there is none', () => {
  expect(parseNamespaceId(message(88, Buffer.alloc(4), attribute(1, number(3))))).toBe(3)
  expect(parseNamespaceId(message(88, Buffer.alloc(4), attribute(1, number(-1))))).toBe(-1)
})

it('passes on what the kernel refuses', () => {
  expect(() => parseLink(message(2, number(-19)))).toThrow(/error 19/)
  expect(() => parseLink(Buffer.alloc(4))).toThrow(/message 0/)
})
