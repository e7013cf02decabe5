import { describe, expect, it } from 'vitest'
import { JsonObjectCutter } from '../../../../src/registrar/core/json-cut.ts'

const cut = (text: string, inside?: string, size = text.length) => {
  const found: unknown[] = []
  const cutter = new JsonObjectCutter(inside, (json) => found.push(JSON.parse(json)))
  const bytes = Buffer.from(text)
  for (let start = 0; start < bytes.length; start += size) cutter.push(bytes.subarray(start, start + size))
  return { found, complete: cutter.complete }
}

const services = {
  a: { ID: 'a', Meta: { 'k"{': 'v\\', 'x}': '\\"' }, Tags: ['{', '[1]'] },
  'b"}': { ID: 'b', Meta: { ü: '漢字€' }, Weights: { Passing: 1 } },
  c: { ID: 'c' },
}

describe('objects are cut out of a streamed answer', () => {
  const answers: [string, string, string | undefined, unknown[]][] = [
    ['members of the root', JSON.stringify(services), undefined, Object.values(services)],
    [
      'members of a root list',
      JSON.stringify(Object.values(services), null, 2),
      undefined,
      Object.values(services),
    ],
    [
      'members of a member, past others',
      JSON.stringify(
        { Node: { Meta: { Services: { no: {} } } }, Services: services, After: { x: {} } },
        null,
        1,
      ),
      'Services',
      Object.values(services),
    ],
  ]
  it.each(answers)('%s, wherever the chunks end', (_name, text, inside, wanted) => {
    for (let size = 1; size <= 40; size += 1) {
      expect(cut(text, inside, size)).toEqual({ found: wanted, complete: true })
    }
  })

  it('none of an empty or absent container', () => {
    expect(cut('{}')).toEqual({ found: [], complete: true })
    expect(cut('{"Node":null,"Services":null}', 'Services')).toEqual({ found: [], complete: true })
  })

  it('and an answer that was cut short is not complete', () => {
    const text = JSON.stringify(services)
    for (let length = 0; length < text.length; length += 1) {
      expect(cut(text.slice(0, length), undefined, 16).complete).toBe(false)
    }
  })
})
