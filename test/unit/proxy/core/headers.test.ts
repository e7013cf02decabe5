import { expect, it } from 'vitest'
import { forwardedRequestHeaders, forwardedResponseHeaders } from '../../../../src/proxy/core/headers.ts'

it('tells the target what the client accepts and who it is, and nothing else', () => {
  expect(
    forwardedRequestHeaders({
      accept: 'text/plain',
      'accept-encoding': 'gzip',
      'user-agent': 'Prometheus/2.24',
      authorization: 'Bearer mine',
      cookie: 'a=b',
      host: 'evil',
      'impersonate-user': 'root',
      'x-forwarded-for': '1.2.3.4',
      connection: 'upgrade',
      te: 'trailers',
      expect: '100-continue',
    }),
  ).toEqual({ accept: 'text/plain', 'accept-encoding': 'gzip', 'user-agent': 'Prometheus/2.24' })
})

it('tells the client what the body is, and nothing else', () => {
  expect(
    forwardedResponseHeaders({
      'content-type': 'text/plain',
      'content-encoding': 'gzip',
      'content-length': '5',
      'set-cookie': ['a=b'],
      location: '/x',
      connection: 'close',
      'transfer-encoding': 'chunked',
    }),
  ).toEqual({ 'content-type': 'text/plain', 'content-encoding': 'gzip', 'content-length': '5' })
})
