import { describe, expect, it } from 'vitest'
import { bracketed, canonicalIp, isLoopback, isNotAMachine, isV4Mapped } from '../../../src/common/ip.ts'

describe('canonicalIp', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['fd00::1', 'fd00::1'],
    ['FD00:0:0::0001', 'fd00::1'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ])('gives one text for each address: %s', (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical)
  })

  it.each([
    '',
    'node-1',
    '010.0.0.1',
    '10.1',
    '0x0a000001',
    '167772161',
    '10.0.0.1.',
    'fe80::1%eth0',
    '[::1]',
    '10.0.0.256',
  ])('takes nothing else: %j', (text) => {
    expect(canonicalIp(text)).toBeUndefined()
  })
})

describe('ranges of addresses', () => {
  it('tells loopback addresses', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1'].map(isLoopback)).toEqual([true, true, true])
    expect(['128.0.0.1', '10.0.0.1', 'fd00::1'].map(isLoopback)).toEqual([false, false, false])
  })

  it.each(['0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.255', '::', 'fe80::1', 'ff02::1'])(
    'knows that no machine of a cluster is at %s',
    (ip) => {
      expect(isNotAMachine(ip)).toBe(true)
    },
  )

  it('lets private and public addresses be machines', () => {
    expect(['10.0.0.1', '192.168.1.1', '8.8.8.8', 'fd00::1', '2001:db8::1'].some(isNotAMachine)).toBe(false)
  })

  it('tells IPv4 addresses in IPv6 form', () => {
    expect([isV4Mapped('::ffff:a00:1'), isV4Mapped('fd00::1'), isV4Mapped('10.0.0.1')]).toEqual([
      true,
      false,
      false,
    ])
  })
})

it('puts brackets around IPv6 addresses only', () => {
  expect([bracketed('fd00::1'), bracketed('10.0.0.1')]).toEqual(['[fd00::1]', '10.0.0.1'])
})
