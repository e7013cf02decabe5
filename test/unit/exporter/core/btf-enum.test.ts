import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { dropReasonName, readBtfEnum } from '../../../../src/exporter/core/btf-enum.ts'

const ownTypes = '/sys/kernel/btf/vmlinux'

/** Type information with a pointer and two enumerations, as the kernel lays it out. */
function sample(): Uint8Array {
  const names = '\0other\0reasons\0NO\0SKB_DROP_REASON_NO_SOCKET\0'
  const at = (name: string): number => names.indexOf(`\0${name}\0`) + 1
  const pointer = [0, 2 << 24, 1]
  const other = [at('other'), (6 << 24) | 1, 4, at('NO'), 9]
  const reasons = [at('reasons'), (6 << 24) | 2, 4, at('NO'), 0, at('SKB_DROP_REASON_NO_SOCKET'), 3]
  const types = new Uint8Array(Uint32Array.from([...pointer, ...other, ...reasons]).buffer)
  const header = new Uint8Array(24)
  const view = new DataView(header.buffer)
  view.setUint16(0, 0xeb9f, true)
  for (const [index, value] of [24, 0, types.length, types.length, names.length].entries())
    view.setUint32(4 + index * 4, value, true)
  return Buffer.concat([header, types, Buffer.from(names)])
}

describe("names of the kernel's enumerations", () => {
  it('are found by the name of the enumeration', () => {
    const names = readBtfEnum(sample(), 'reasons')

    expect([...names]).toEqual([
      [0, 'NO'],
      [3, 'SKB_DROP_REASON_NO_SOCKET'],
    ])
    expect([dropReasonName(names, 3), dropReasonName(names, 65_537)]).toEqual(['no_socket', '65537'])
  })

  it('are none where there is no such enumeration', () => {
    expect(readBtfEnum(sample(), 'unknown').size).toBe(0)
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['something else', Buffer.alloc(64, 1)],
    ['a part of it', sample().subarray(0, 40)],
  ])('cannot be read from %s', (_what, bytes) => {
    expect(() => readBtfEnum(bytes, 'reasons')).toThrow(/Cannot read the types of this kernel/)
  })

  it.skipIf(!existsSync(ownTypes))('are found in the types of this kernel', () => {
    const names = readBtfEnum(readFileSync(ownTypes), 'skb_drop_reason')

    expect([...names.values()].map((_, value) => dropReasonName(names, value))).toContain('no_socket')
  })
})
