import { expect, it } from 'vitest'
import { parseToken } from '../../../src/proxy/token.ts'

it('trims a token', () => {
  expect(parseToken(' eyJh.eyJz.c2ln\n')).toBe('eyJh.eyJz.c2ln')
})

it.each(['', '\n', 'two tokens', 'split\ntoken', 'caf\u00e9'])(
  'refuses what no header could carry: %j',
  (text) => {
    expect(() => parseToken(text)).toThrow('expected')
  },
)

it('does not repeat a bad token in its error', () => {
  expect(() => parseToken('secret one')).not.toThrow('secret')
})
