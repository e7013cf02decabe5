import { describe, expect, it } from 'vitest'
import { recordHttp1 } from '../../../../support/http-traffic.ts'
import { Watched } from './watch.ts'

const ok = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const get = (path: string, headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: shop:8080\r\n${headers}\r\n`

describe('a server on HTTP/1', () => {
  it('gives method, template, status, sizes and times of a request', () => {
    const watched = new Watched().received(get('/users/42?token=secret')).sent(ok('hello'))

    expect(watched.exchanges).toEqual([
      {
        ...{ side: 'server', version: '1.1', method: 'GET', route: '/users/{number}', scheme: 'http' },
        ...{ authority: 'shop:8080', status: 200, grpc: undefined, traceparent: undefined, weight: 1 },
        ...{ startNs: 2_000, firstByteNs: 3_000, endNs: 3_000, requestBytes: 0, responseBytes: 5 },
      },
    ])
    expect(JSON.stringify(watched.exchanges)).not.toContain('secret')
  })

  it('follows keep-alive, and times the last byte of a body in pieces', () => {
    const watched = new Watched()
      .received(get('/a'))
      .sent('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345')
      .sent('67890')
      .received(get('/b'))
      .sent(ok(''))

    expect(watched.lines).toEqual(['GET /a 200', 'GET /b 200'])
    expect(watched.exchanges[0]).toMatchObject({ firstByteNs: 3_000, endNs: 4_000, responseBytes: 10 })
  })

  it('gives pipelined requests their own responses', () => {
    const watched = new Watched()
      .received(get('/a') + get('/b') + get('/c'))
      .sent(ok('1') + 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
      .sent(ok('3'))

    expect(watched.lines).toEqual(['GET /a 200', 'GET /b 404', 'GET /c 200'])
  })

  it('reads chunked bodies with extensions and trailers, cut anywhere', () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    const response = `${head}5;name="x"\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n`
    for (let cut = 1; cut < response.length; cut += 1) {
      const watched = new Watched().received(get('/a')).sent(response.slice(0, cut)).sent(response.slice(cut))
      watched.received(get('/b')).sent(ok(''))
      expect(watched.lines).toEqual(['GET /a 200', 'GET /b 200'])
      expect(watched.exchanges[0]?.responseBytes).toBe(5 + 16 + 4)
    }
  })

  it('reads requests cut anywhere, with bodies that look like requests', () => {
    const body = get('/never')
    const request = `POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    for (let cut = 1; cut < request.length; cut += 1) {
      const watched = new Watched().received(request.slice(0, cut)).received(request.slice(cut)).sent(ok(''))
      expect(watched.lines).toEqual(['POST /orders 200'])
      expect(watched.exchanges[0]?.requestBytes).toBe(body.length)
    }
  })

  it('knows that HEAD, 204 and 304 have no body, and that 1xx is no response', () => {
    const watched = new Watched()
      .received('HEAD /a HTTP/1.1\r\n\r\n')
      .sent('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
      .received(get('/b'))
      .sent('HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n')
      .received('PUT /c HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
      .sent('HTTP/1.1 100 Continue\r\n\r\n')
      .received('ab')
      .sent('HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n')

    expect(watched.lines).toEqual(['HEAD /a 200', 'GET /b 304', 'PUT /c 204'])
  })

  it('ends with the connection a response that has no length', () => {
    const watched = new Watched()
      .received('GET /a HTTP/1.0\r\n\r\n')
      .sent('HTTP/1.0 200 OK\r\n\r\nabc')
      .sent('def')
    expect(watched.exchanges).toEqual([])

    expect(watched.close().exchanges).toMatchObject([{ version: '1.0', status: 200, responseBytes: 6 }])
  })

  it('looks no further than an upgrade', () => {
    const watched = new Watched()
      .received(get('/socket', 'Upgrade: websocket\r\nConnection: upgrade\r\n'))
      .sent('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n')
      .received(get('/inside'))
      .sent(ok(''))
      .close()

    expect(watched.lines).toEqual(['GET /socket 101'])
  })

  it('tells a request that was never answered, and leaves out half a one', () => {
    const answeredNot = new Watched().received(get('/a')).close()
    const half = new Watched().received('GET /a HTTP/1.1\r\nHost').close()

    expect(answeredNot.lines).toEqual(['GET /a none'])
    expect(half.lines).toEqual([])
  })
})

describe('a client on HTTP/1', () => {
  it('is known by the direction of its requests, and keeps the trace that it sends', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const watched = new Watched().sent(get('/a', `Traceparent: ${traceparent}\r\n`)).received(ok(''))

    expect(watched.exchanges).toMatchObject([{ side: 'client', traceparent, authority: 'shop:8080' }])
  })
})

describe('HTTP/1 of which not all is seen', () => {
  it('skips bodies by their length', () => {
    const watched = new Watched()
      .received(`POST /a HTTP/1.1\r\nContent-Length: 9000\r\n\r\n${'x'.repeat(9_000)}`, 200)
      .sent(ok('y'.repeat(50_000)), 100)
      .received(get('/b'))
      .sent(ok(''))

    expect(watched.lines).toEqual(['POST /a 200', 'GET /b 200'])
    expect(watched.exchanges[0]).toMatchObject({ requestBytes: 9_000, responseBytes: 50_000 })
  })

  it('takes the next request for the end of a chunked response whose end was not captured', () => {
    const chunked = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'10\r\n0123456789abcdef\r\n'.repeat(100)}0\r\n\r\n`
    const watched = new Watched().received(get('/a')).sent(chunked, 200).received(get('/b')).sent(ok(''))

    expect(watched.lines).toEqual(['GET /a 200', 'GET /b 200'])
    expect(watched.exchanges[0]?.endNs).toBe(3_000)
  })

  it('reads what it can of a head of a megabyte, and finds its place again', () => {
    const large = get('/large', `Cookie: ${'c'.repeat(1_000_000)}\r\n`)
    const watched = new Watched()
    for (let at = 0; at < large.length; at += 65_536) watched.received(large.slice(at, at + 65_536), 4_096)
    watched.sent('HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n').received(get('/b')).sent(ok(''))

    expect(watched.lines).toEqual(['GET /large 431', 'GET /b 200'])
  })

  it('goes on after lost records, without a wrong pair', () => {
    const watched = new Watched().received(get('/a')).lose('sent', 300)
    watched.received(get('/b')).lose('received', 100).sent(ok('')).received(get('/d')).sent(ok(''))

    // What was answered and what was lost cannot be told apart for /a and /b.
    expect(watched.lines).toEqual(['GET /d 200'])
  })

  it('takes no end of a body for the head of a response, when what follows is cut', () => {
    const lines = 'HTTP/1.1 200 OK\r\n'.repeat(3)
    for (const rest of [lines, 'HTTP/1.1 200 OK\r\n']) {
      const watched = new Watched()
        .received(get('/a'))
        .lose('sent', 200)
        .sent(rest)
        .received(get('/b'))
        .sent(`HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n${'x'.repeat(100)}`, 21)
        .received(get('/c'))
      expect(watched.lines).toEqual([])
    }
  })

  it('joins a connection midway', () => {
    const watched = new Watched(false).sent('rest of a body').sent(ok('of a request not seen'))
    watched.received(get('/b')).sent(ok(''))

    expect(watched.lines).toEqual(['GET /b 200'])
  })

  it('counts for those that were left out', () => {
    const watched = new Watched().move('received', get('/a'), undefined, 7).sent(ok(''))
    expect(watched.exchanges[0]?.weight).toBe(8)
  })
})

describe('what is not HTTP', () => {
  it.each([
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['Redis', '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n'],
    ['inline Redis', 'SET k HTTP/1.1 x\r\n'],
    ['SMTP', 'EHLO client.example\r\n'],
    ['SIP', 'OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n'],
    ['PostgreSQL', '\0\0\0\x08\x04\xd2\x16\x2f'],
    ['MySQL', 'J\0\0\0\x0a5.7.4\0'],
    ['a version that there is not', 'GET / HTTP/3.7\r\n\r\n'],
    ['lower case', 'get / http/1.1\r\n\r\n'],
  ])('never gives a request: %s', (_name, bytes) => {
    const watched = new Watched()
    for (let k = 0; k < 20; k += 1) watched.received(bytes).sent(bytes)
    expect(watched.close().exchanges).toEqual([])
  })

  it('is given up after a while', () => {
    const watched = new Watched()
    for (let k = 0; k < 10; k += 1) watched.received(Buffer.alloc(65_536, 0xff), 64)
    expect(watched.connection.ignored).toBe(true)
  })

  it('a response without a request, a request both ways', () => {
    const watched = new Watched().sent(ok('a')).sent(ok('b')).received(get('/a')).sent(get('/b')).close()
    expect(watched.lines).toEqual(['GET /a none'])
  })
})

describe("Node's own HTTP/1", () => {
  it('is read whole, whatever the method and framing', async () => {
    const { movements, asked } = await recordHttp1(110)
    const watched = new Watched()
    for (const { direction, data } of movements) watched.move(direction, data)

    expect(watched.lines).toEqual(asked.map(({ method, path, status }) => `${method} ${path} ${status}`))
  })
})
