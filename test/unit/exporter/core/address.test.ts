import { describe, expect, it } from 'vitest'
import { formatAddress } from '../../../../src/exporter/core/address.ts'

describe('formatAddress', () => {
  it.each([
    [[0, 0, 0xffff, 0xc0a80001], '192.168.0.1'],
    [[0, 0, 0xffff, 0], '0.0.0.0'],
    [[0, 0, 0, 0], '::'],
    [[0, 0, 0, 1], '::1'],
    [[0x20010db8, 0, 0, 0x00010000], '2001:db8::1:0'],
    [[0x20010db8, 0x00000001, 0x00000000, 0x00000001], '2001:db8:0:1::1'],
    [[0x20010db8, 0x00010000, 0x00010001, 0x00010001], '2001:db8:1:0:1:1:1:1'],
    [[0xfe800000, 0, 0x02420aff, 0xfe630002], 'fe80::242:aff:fe63:2'],
    [[0x00010002, 0x00030004, 0x00050006, 0x00000000], '1:2:3:4:5:6::'],
  ])('writes %j as %s', (words, text) => {
    expect(formatAddress(Int32Array.from(words))).toBe(text)
  })
})
