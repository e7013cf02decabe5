import { describe, expect, it } from 'vitest'
import { flag, integer, list, oneOf, port, text } from '../../../src/config/format.ts'

describe('formats', () => {
  it.each([
    ['true', true],
    ['YES', true],
    ['1', true],
    ['false', false],
    ['no', false],
    ['0', false],
    ['maybe', undefined],
  ])('a boolean reads %s as %s', (given, expected) => {
    expect(flag.parse(given)).toBe(expected)
  })

  it.each(['', '-1', '1.5', '1e3', '0x10', '65536', 'abc', '99999999999999999999'])(
    'a port rejects %j',
    (given) => {
      expect(port.parse(given)).toBeUndefined()
    },
  )

  it('an integer accepts both of its bounds', () => {
    expect([1, 5].map((number) => integer(1, 5).parse(String(number)))).toEqual([1, 5])
  })

  it('a list rejects a whole text for one bad entry', () => {
    expect(list(port).parse('1,2')).toEqual([1, 2])
    expect(list(port).parse('1,x')).toBeUndefined()
    expect(list(text).parse('a,')).toBeUndefined()
  })

  it('one of several is exact', () => {
    expect(oneOf('a', 'b').parse('A')).toBeUndefined()
  })
})
