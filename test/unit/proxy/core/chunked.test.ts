import { describe, expect, it } from 'vitest'
import { ChunkedDecoder } from '../../../../src/proxy/core/chunked.ts'

/** Decodes `text` in steps of `step` bytes. */
function decode(text: string, step = text.length): { body: string; ended: boolean; read: number } {
  const bytes = Buffer.from(text, 'latin1')
  const decoder = new ChunkedDecoder()
  let body = ''
  let read = 0
  for (let at = 0; at < bytes.length && !decoder.ended; at += step)
    read += decoder.decode(bytes.subarray(at, at + step), (piece) => (body += piece.toString('latin1')))
  return { body, ended: decoder.ended, read }
}

describe('a body in chunks', () => {
  const text = '5\r\nhello\r\n1A\r\n, this is a body in chunks\r\n0\r\n\r\n'
  it.each([1, 2, 3, 7, 1_000])('is the same however it comes, here in pieces of %i', (step) => {
    expect(decode(text, step)).toEqual({
      body: 'hello, this is a body in chunks',
      ended: true,
      read: text.length,
    })
  })

  it('has not ended before its last chunk is over', () => {
    for (let length = 1; length < text.length; length += 1)
      expect(decode(text.slice(0, length)).ended).toBe(false)
  })

  it('leaves what comes behind it alone', () => {
    expect(decode(`${text}HTTP/1.1 200 OK\r\n`).read).toBe(text.length)
  })

  it('may be empty', () => {
    expect(decode('0\r\n\r\n')).toEqual({ body: '', ended: true, read: 5 })
  })
})

describe('what is not quite a body in chunks is refused:', () => {
  it.each([
    ['no size', '\r\nhello\r\n0\r\n\r\n'],
    ['a size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a size with a prefix', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a size with a space', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a size without end', `${'0'.repeat(9)}5\r\nhello\r\n0\r\n\r\n`],
    ['a size that ends with a line feed alone', '5\nhello\r\n0\r\n\r\n'],
    ['a carriage return alone', '5\rhello\r\n0\r\n\r\n'],
    ['a chunk extension', '5;a=b\r\nhello\r\n0\r\n\r\n'],
    ['a chunk longer than its size', '5\r\nhello!\r\n0\r\n\r\n'],
    ['a chunk shorter than its size', '5\r\nhell\r\n0\r\n\r\n'],
    ['a trailer', '0\r\nX: y\r\n\r\n'],
    ['text', '<html>'],
  ])('%s', (_name, text) => {
    for (const step of [1, text.length]) expect(() => decode(text, step)).toThrow('chunk')
  })
})
