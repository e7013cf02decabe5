import { describe, expect, it } from 'vitest'
import { HpackDecoder } from '../../../../../src/exporter/core/requests/hpack.ts'
import { recordHttp2 } from '../../../../support/http-traffic.ts'
import { Watched } from './watch.ts'

function decoded(decoder: HpackDecoder, hex: string): { fields: string[]; valid: boolean } {
  const fields: string[] = []
  const valid = decoder.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'), (name, value) =>
    fields.push(`${name ?? '?'}: ${value ?? '?'}`),
  )
  return { fields, valid }
}

/** A frame: RFC 9113 section 4.1. */
function frame(type: number, flags: number, stream: number, payload: Uint8Array | string): Buffer {
  const data = typeof payload === 'string' ? Buffer.from(payload, 'hex') : payload
  const header = Buffer.alloc(9)
  header.writeUIntBE(data.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, data])
}
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const settings = frame(4, 0, 0, '')
/** `GET http /` of the static table, and `:status 200`. */
const [getRoot, ok] = ['828684', '88']

describe('HPACK', () => {
  it('decodes the examples of RFC 7541, appendix C.4: Huffman, one table over three requests', () => {
    const decoder = new HpackDecoder()
    const common = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']
    expect(decoded(decoder, '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff').fields).toEqual(common)
    expect(decoded(decoder, '8286 84be 5886 a8eb 1064 9cbf').fields).toEqual([
      ...common,
      'cache-control: no-cache',
    ])
    expect(decoded(decoder, '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf').fields).toEqual([
      ...[':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com'],
      'custom-key: custom-value',
    ])
  })

  it('evicts as appendix C.5 does, with a table of 256 bytes', () => {
    const decoder = new HpackDecoder()
    decoded(decoder, '3fe101') // a table of 256
    decoded(
      decoder,
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
       3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`.replaceAll(/\s/g, ''),
    )
    expect(decoder.known).toBe(4)
    expect(decoded(decoder, '4803 3330 37c1 c0bf').fields).toEqual([
      ':status: 307',
      'cache-control: private',
      'date: Mon, 21 Oct 2013 20:13:21 GMT',
      'location: https://www.example.com',
    ])
    expect(decoder.known).toBe(4)
  })

  it('goes on after an index that it has not seen, and knows what is added later', () => {
    const decoder = new HpackDecoder()
    expect(decoded(decoder, '82 c0 40 03 612d62 01 78 be 7f 00 01 79')).toEqual({
      fields: [':method: GET', '?: ?', 'a-b: x', 'a-b: x', '?: y'],
      valid: true,
    })
  })

  it.each([
    ['index 0', '80'],
    ['an integer without end', 'ffffffffffffffff'],
    ['a string longer than the block', '4003616263 7f ffffff07 00'],
    ['a cut string', '40 05 61'],
    ['a table of four gigabytes', '3fffffffffffff7f'],
  ])('refuses %s, and forgets', (_name, hex) => {
    const decoder = new HpackDecoder()
    decoded(decoder, '40 01 61 01 62')
    expect(decoded(decoder, hex).valid).toBe(false)
    expect(decoder.known).toBe(0)
  })

  it('gives no text for Huffman that is none: the end of string within, long or wrong padding', () => {
    for (const string of ['84ffffffff', '82ffff', '8100'])
      expect(decoded(new HpackDecoder(), `40 01 61 ${string}`)).toEqual({ fields: ['a: ?'], valid: true })
  })

  it('keeps a table of 64 KiB at most, whatever it is told', () => {
    const decoder = new HpackDecoder()
    decoded(decoder, '3fe1ffff0f')
    for (let k = 0; k < 5_000; k += 1) decoded(decoder, `40 01 61 20 ${'62'.repeat(32)}`)
    expect(decoder.known).toBe(Math.floor(65_536 / 65))
  })
})

describe('a server on HTTP/2', () => {
  it('gives a request of the static table alone', () => {
    const watched = new Watched()
      .received(Buffer.concat([preface, settings, frame(1, 0x5, 1, getRoot)]))
      .sent(Buffer.concat([settings, frame(1, 0x4, 1, ok), frame(0, 0x1, 1, Buffer.alloc(100))]))

    expect(watched.exchanges).toMatchObject([
      {
        side: 'server',
        version: '2',
        method: 'GET',
        route: '/',
        status: 200,
        responseBytes: 100,
        grpc: undefined,
      },
    ])
  })

  it('knows the preface of a connection that was not watched from its start', () => {
    const watched = new Watched(false)
      .received(Buffer.concat([preface, settings, frame(1, 0x5, 1, getRoot)]))
      .sent(Buffer.concat([settings, frame(1, 0x5, 1, '88')]))
    expect(watched.lines).toEqual(['GET / 200'])
  })

  it('reads a preface and frames cut anywhere', () => {
    const received = Buffer.concat([preface, settings, frame(1, 0x5, 1, getRoot)])
    const sent = Buffer.concat([settings, frame(1, 0x4, 1, ok), frame(0, 0x1, 1, Buffer.alloc(30))])
    for (let cut = 1; cut < received.length; cut += 1) {
      const watched = new Watched()
        .received(received.subarray(0, cut))
        .received(received.subarray(cut))
        .sent(sent)
      expect(watched.lines).toEqual(['GET / 200'])
    }
    for (let cut = 1; cut < sent.length; cut += 1) {
      const watched = new Watched().received(received).sent(sent.subarray(0, cut)).sent(sent.subarray(cut))
      expect(watched.lines).toEqual(['GET / 200'])
    }
  })

  it('takes padding, priority and blocks that continue', () => {
    const padded = Buffer.concat([Buffer.of(4), Buffer.alloc(5), Buffer.from('82', 'hex'), Buffer.alloc(4)])
    const watched = new Watched()
      .received(Buffer.concat([preface, settings, frame(1, 0x29, 1, padded), frame(9, 0x4, 1, '8684')]))
      .sent(frame(1, 0x5, 1, ok))

    expect(watched.lines).toEqual(['GET / 200'])
  })

  it('gives the gRPC status of trailers, of resets, and of HTTP errors', () => {
    const call = (stream: number): Buffer =>
      frame(
        1,
        0x5,
        stream,
        `8386 04 08 ${Buffer.from('/a.B/Get').toString('hex')} 5f 10 ${Buffer.from('application/grpc').toString('hex')}`.replaceAll(
          ' ',
          '',
        ),
      )
    const trailers = (status: string): string =>
      `00 0b ${Buffer.from('grpc-status').toString('hex')} 01 ${Buffer.from(status).toString('hex')}`.replaceAll(
        ' ',
        '',
      )
    const watched = new Watched()
      .received(Buffer.concat([preface, settings, call(1), call(3), call(5), call(7)]))
      .sent(Buffer.concat([frame(1, 0x4, 1, ok), frame(1, 0x5, 1, trailers('5'))]))
      .sent(frame(1, 0x5, 3, '08 03 353033'.replaceAll(' ', '')))
      .received(frame(3, 0, 5, '00000008'))
      .sent(frame(1, 0x5, 7, ok + trailers('0')))

    expect(watched.exchanges.map(({ grpc, status }) => [grpc?.method, grpc?.status, status])).toEqual([
      ['a.B/Get', 'NOT_FOUND', 200],
      ['a.B/Get', 'UNAVAILABLE', 503],
      ['a.B/Get', 'CANCELLED', undefined],
      ['a.B/Get', 'OK', 200],
    ])
  })

  it('gives up bodies of frames that are not captured, and finds the next', () => {
    const watched = new Watched()
      .received(Buffer.concat([preface, settings, frame(1, 0x5, 1, getRoot)]))
      .sent(Buffer.concat([frame(1, 0x4, 1, ok), frame(0, 0, 1, Buffer.alloc(16_000))]), 64)
      .sent(frame(0, 0x1, 1, Buffer.alloc(16_000)), 64)

    expect(watched.exchanges).toMatchObject([{ status: 200, responseBytes: 32_000 }])
  })
})

describe('hostile HTTP/2', () => {
  it('bounds streams that are opened and never answered, and frames that never end', () => {
    const watched = new Watched().received(Buffer.concat([preface, settings]))
    for (let id = 1; id < 10_000; id += 2) watched.received(frame(1, 0x5, id, getRoot))
    const endless = frame(1, 0x1, 20_001, Buffer.alloc(16_000))
    watched.received(endless)
    for (let k = 0; k < 100; k += 1) watched.received(frame(9, 0, 20_001, Buffer.alloc(16_000)))

    expect(watched.close().exchanges.length).toBe(1_024)
  })
})

describe("Node's own HTTP/2", () => {
  const line = ({ method, path, status }: { method: string; path: string; status: number }): string =>
    `${method} ${path} ${status}`

  it('is read whole, streams interleaved', async () => {
    const { movements, asked } = await recordHttp2(80)
    const watched = new Watched()
    for (const { direction, data } of movements) watched.move(direction, data)

    expect(watched.lines.toSorted()).toEqual(asked.map(line).toSorted())
    const grpc = watched.exchanges.filter((exchange) => exchange.grpc !== undefined)
    expect(grpc.length).toBe(asked.filter(({ path }) => path.startsWith('/pack.Age')).length)
    expect(new Set(grpc.map((exchange) => exchange.grpc?.status))).toEqual(
      new Set(['OK', 'UNKNOWN', 'CANCELLED', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED']),
    )
  })

  it('is joined midway: methods and statuses are right, paths may be unknown', async () => {
    const { movements, asked } = await recordHttp2(80)
    const watched = new Watched(false)
    const from = Math.floor(movements.length / 2)
    for (const { direction, data } of movements.slice(from)) watched.move(direction, data)

    expect(watched.exchanges.length).toBeGreaterThan(asked.length / 4)
    for (const { method, status, route } of watched.exchanges) {
      expect(asked).toContainEqual(
        expect.objectContaining({ method, status, ...(route === undefined ? {} : { path: route }) }),
      )
    }
  })
})
