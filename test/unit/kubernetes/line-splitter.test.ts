import { describe, expect, test } from 'vitest'
import { LineSplitter } from '../../../src/kubernetes/line-splitter.ts'

describe('LineSplitter', () => {
  test('gives the same lines however the bytes are cut, within characters too', () => {
    const bytes = Buffer.from('{"a":"é"}\n\n{"b":"漢字"}\nrest')
    for (let size = 1; size <= bytes.length; size += 1) {
      const splitter = new LineSplitter(100)
      const lines: string[] = []
      for (let at = 0; at < bytes.length; at += size)
        lines.push(...splitter.push(bytes.subarray(at, at + size)))
      expect(lines).toEqual(['{"a":"é"}', '{"b":"漢字"}'])
    }
  })

  test('gives up on a line without an end', () => {
    const splitter = new LineSplitter(10)
    splitter.push(Buffer.from('12345'))
    expect(() => splitter.push(Buffer.from('678901'))).toThrow('Cannot read a line of 11 bytes or more')
  })
})
