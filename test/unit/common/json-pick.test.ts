import { describe, expect, test } from 'vitest'
import { JsonPicker, type JsonShape } from '../../../src/common/json-pick.ts'

function pick(value: unknown, shape: JsonShape, indent?: number): unknown {
  return new JsonPicker(shape).parse(Buffer.from(JSON.stringify(value, undefined, indent)))
}

const tricky = {
  name: 'quote " backslash \\ brace } both \\" end\\\\',
  other: [{ name: 'no' }, ']', { deep: ['}', -1.5e3] }],
  list: [{ name: '漢字 {', more: 1 }, { more: [] }, {}],
  inner: { keep: { any: ['thing', { at: null }] }, drop: { keep: 1 } },
  empty: {},
  number: 17,
  nothing: null,
}

describe('JsonPicker', () => {
  const shape: JsonShape = {
    name: 'all',
    list: { name: 'all' },
    inner: { keep: 'all' },
    empty: { x: 'all' },
    number: 'all',
    nothing: { x: 'all' },
    absent: 'all',
  }
  const wanted = {
    name: tricky.name,
    list: [{ name: '漢字 {' }, {}, {}],
    inner: { keep: tricky.inner.keep },
    empty: {},
    number: 17,
    nothing: null,
  }

  test.each([undefined, 1, 4])(
    'keeps the members of a shape, and nothing else (indentation %s)',
    (indent) => {
      expect(pick(tricky, shape, indent)).toEqual(wanted)
    },
  )

  test('can be used again, for longer and shorter texts', () => {
    const picker = new JsonPicker({ a: 'all' })
    for (const length of [1, 100_000, 3])
      expect(picker.parse(Buffer.from(JSON.stringify({ b: 1, a: 'x'.repeat(length) })))).toEqual({
        a: 'x'.repeat(length),
      })
  })

  test('keeps everything where the shape says so, of any kind of value', () => {
    for (const value of [tricky, [], [1, [2]], 'text', 0, true, null])
      expect(pick(value, 'all')).toEqual(value)
  })

  test('keeps a value that is not of the shape as it is', () => {
    expect(pick({ a: 'text', b: [1] }, { a: { x: 'all' }, b: { x: 'all' } })).toEqual({ a: 'text', b: [1] })
  })

  test('refuses every text that was cut short', () => {
    const text = JSON.stringify(tricky)
    const picker = new JsonPicker(shape)
    for (let length = 0; length < text.length; length += 1)
      expect(() => picker.parse(Buffer.from(text.slice(0, length)))).toThrow(SyntaxError)
  })

  test.each(['{"a" 1}', '{a:1}', '{"a":}', '{"a":nul}', '[1', '[}', '[1 2]', '{"b":1]'])(
    'refuses %s',
    (text) => {
      expect(() => new JsonPicker({ a: 'all' }).parse(Buffer.from(text))).toThrow(SyntaxError)
    },
  )
})
