import { describe, expect, it } from 'vitest'
import { parseFields, parseStartLine } from '../../../../../src/exporter/core/requests/http1-head.ts'

/** RFC 9112 sections 3 and 4, as expressions: what the parser must take, and nothing else. */
const requestLine = /^([A-Z][A-Z_-]{2,23}) ([\x21-\xff]+) HTTP\/(1\.[01])$/
const statusLine = /^HTTP\/(1\.[01]) ([1-5]\d\d)(?: .*)?$/s

function byExpression(line: string): ReturnType<typeof parseStartLine> {
  if (line.startsWith('HTTP/')) {
    const match = statusLine.exec(line)
    return match === null
      ? undefined
      : { version: match[1] ?? '', method: '', target: '', status: Number(match[2]) }
  }
  const match = requestLine.exec(line)
  return match === null
    ? undefined
    : { version: match[3] ?? '', method: match[1] ?? '', target: match[2] ?? '', status: 0 }
}

describe('a start line', () => {
  it.each([
    ...[
      'GET / HTTP/1.1',
      'GET / HTTP/1.0',
      'M-SEARCH * HTTP/1.1',
      'OPTIONS * HTTP/1.1',
      'CONNECT a:1 HTTP/1.1',
    ],
    ...[
      'GET  HTTP/1.1',
      'GET / HTTP/1.2',
      'GET / HTTP/2.0',
      'GET /a b HTTP/1.1',
      'GET /',
      'GET',
      '',
      ' ',
      'GET ',
    ],
    ...[
      'GE / HTTP/1.1',
      'get / HTTP/1.1',
      '-ET / HTTP/1.1',
      'GET\t/ HTTP/1.1',
      'GET /\x00 HTTP/1.1',
      'GET HTTP/1.1',
    ],
    ...['GET /HTTP/1.1', 'GET / HTTP/1.1 ', 'GET /\xff\x7f HTTP/1.1', `${'A'.repeat(24)} / HTTP/1.1`],
    ...[
      `${'A'.repeat(25)} / HTTP/1.1`,
      'HTTP/1.1 200 OK',
      'HTTP/1.1 200',
      'HTTP/1.1 200 ',
      'HTTP/1.0 599 a\nb',
    ],
    ...['HTTP/1.1 600', 'HTTP/1.1 099', 'HTTP/1.1 2000', 'HTTP/1.1  200', 'HTTP/1.1 20', 'HTTP/1.1', 'HTTP/'],
    ...['HTTP/2 200', 'HTTP/1.1 2x0 OK', 'HTTP/1.1 200\tOK', 'HTTP/1.1 GET HTTP/1.1'],
  ])('%j is taken as the standard has it', (line) => {
    expect(parseStartLine(line)).toEqual(byExpression(line))
  })

  it('is taken so with a character more, less or another, too', () => {
    const characters = ['A', 'z', ' ', '1', '6', '/', '.', '\t', '\xff', '-']
    for (const line of ['GET /a HTTP/1.1', 'HTTP/1.1 204 No', 'HTTP/1.0 304'])
      for (let at = 0; at <= line.length; at += 1)
        for (const character of ['', ...characters])
          for (const skipped of [0, 1]) {
            const changed = line.slice(0, at) + character + line.slice(at + skipped)
            expect(parseStartLine(changed), JSON.stringify(changed)).toEqual(byExpression(changed))
          }
  })
})

describe('the fields of a head', () => {
  const text =
    'GET / HTTP/1.1\r\nhOST: shop\r\nContent-Type: a/b\r\nTRACEPARENT:  00-1 \r\nContent-Length:7\r\n'

  it('are read in the part that is asked for', () => {
    expect(parseFields(text, 16)).toEqual({ host: 'shop', traceparent: '00-1', contentLength: 7 })
    expect(parseFields(text, 16, text.indexOf('Content-Type'))).toEqual({ host: 'shop' })
    // Cut within its value, and before its colon.
    expect(parseFields(text, 16, text.indexOf('op\r'))).toEqual({ host: 'sh' })
    expect(parseFields(text, 16, text.indexOf(': shop'))).toEqual({})
  })

  it('are no others that are as long or begin alike', () => {
    expect(
      parseFields('Hos:: a\nHosts: b\ncontent-langth: 1\nTransfer-Encodinh: chunked\ntraceparen: c\nhost:\n'),
    ).toEqual({
      host: '',
    })
  })
})
