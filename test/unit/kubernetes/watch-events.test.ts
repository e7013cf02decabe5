import { describe, expect, test } from 'vitest'
import { ApiError, parseRetryAfter, parseStatus } from '../../../src/kubernetes/api-error.ts'
import { parseEvent } from '../../../src/kubernetes/watch-events.ts'
import { recorded } from './recorded.ts'

describe('parseEvent', () => {
  test('reads a bookmark', () => {
    const line = '{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"7"}}}'
    expect(parseEvent('watch pods', line)).toEqual({ type: 'BOOKMARK', resourceVersion: '7' })
  })

  test('raises the recorded error of an old version as expired', async () => {
    const line = (await recorded('pods-watch-expired-410.txt')).trim().split('\n').at(-1) ?? ''
    expect(() => parseEvent('watch pods', line)).toThrow(
      expect.objectContaining({
        code: 'expired',
        message: 'Cannot watch pods: the API server answers 410: too old resource version: 1 (442)',
      }),
    )
  })

  test.each(['', 'null', '[]', '{"type":"ADDED"}', '{"type":"NEW","object":{}}', '<html>'])(
    'refuses %j',
    (line) => {
      expect(() => parseEvent('watch pods', line)).toThrow(expect.objectContaining({ code: 'watch_broken' }))
    },
  )
})

describe('ApiError', () => {
  test('says what a role must allow, in the words of the server', async () => {
    const error = new ApiError('list secrets', 403, parseStatus(await recorded('forbidden-403.json')))
    expect(error.code).toBe('forbidden')
    expect(error.message).toBe(
      'Cannot list secrets: the API server answers 403: secrets is forbidden: User ' +
        '"system:serviceaccount:default:scraper" cannot list resource "secrets" in API group "" at the cluster ' +
        'scope, expected a role that allows to list secrets',
    )
  })

  test('takes the answer of a load balancer, that is no Status', () => {
    const body = parseStatus('<html>\n  <h1>502 Bad Gateway</h1>\n</html>')
    expect(new ApiError('list pods', 502, body)).toMatchObject({
      code: 'server_error',
      message: 'Cannot list pods: the API server answers 502: <html> <h1>502 Bad Gateway</h1> </html>',
    })
  })

  test('reads Retry-After in seconds only', () => {
    expect([parseRetryAfter('3'), parseRetryAfter(undefined), parseRetryAfter('Fri, 20 Nov')]).toEqual([
      3_000,
      undefined,
      undefined,
    ])
  })
})
