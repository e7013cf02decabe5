import { describe, expect, test } from 'vitest'
import { JsonObjectCutter } from '../../../src/common/json-cut.ts'

/** Cuts `text` in chunks of `size` bytes, each in the same memory as the one before. */
function cut(text: string, inside: string | undefined, size: number) {
  const objects: unknown[] = []
  let rest = ''
  const cutter = new JsonObjectCutter(
    inside,
    'all',
    (object) => objects.push(object),
    (bytes) => (rest += bytes.toString('latin1')),
  )
  const bytes = Buffer.from(text)
  const memory = Buffer.alloc(size)
  for (let at = 0; at < bytes.length; at += size)
    cutter.push(memory.subarray(0, bytes.copy(memory, 0, at, at + size)))
  return { objects, rest, complete: cutter.complete }
}

const tricky = {
  a: { text: 'quote " backslash \\ brace } both \\" end\\\\', list: [{ deep: { er: [1] } }] },
  'b "items" {': { é: '漢字 {' },
  c: {},
}

describe('JsonObjectCutter', () => {
  test('cuts the same objects however the bytes are split', () => {
    const text = JSON.stringify(tricky, undefined, 1)
    for (let size = 1; size <= 90; size += 1) {
      const { objects, complete } = cut(text, undefined, size)
      expect(objects).toEqual(Object.values(tricky))
      expect(complete).toBe(true)
    }
  })

  test('cuts the members of one list and leaves the rest, a 0 for each of them', () => {
    const list = {
      kind: 'List',
      other: [{ x: 1 }],
      items: [tricky, { n: 2 }],
      metadata: { items: [{ y: 1 }] },
    }
    const text = JSON.stringify(list)
    for (let size = 1; size <= 90; size += 1) {
      const { objects, rest } = cut(text, 'items', size)
      expect(objects).toEqual(list.items)
      expect(JSON.parse(rest)).toEqual({ ...list, items: [0, 0] })
    }
  })

  test('knows when the text was cut short', () => {
    const text = JSON.stringify({ items: [{ a: 'x' }, { b: 'y' }] })
    for (let length = 0; length < text.length; length += 1)
      expect(cut(text.slice(0, length), 'items', 7).complete).toBe(false)
    expect(cut(text, 'items', 7).complete).toBe(true)
  })

  test('takes an empty list and null', () => {
    for (const items of [[], null]) {
      const { objects, rest } = cut(JSON.stringify({ items }), 'items', 5)
      expect(objects).toEqual([])
      expect(JSON.parse(rest)).toEqual({ items })
    }
  })
})
