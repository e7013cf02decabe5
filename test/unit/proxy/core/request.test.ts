import { describe, expect, it } from 'vitest'
import { checkRequest } from '../../../../src/proxy/core/request.ts'

describe('checkRequest', () => {
  it('takes a plain GET', () => {
    checkRequest({ method: 'GET', headers: { accept: '*/*', 'content-length': '0' } })
  })

  it.each(['HEAD', 'POST', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'])('refuses %s', (method) => {
    expect(() => {
      checkRequest({ method, headers: {} })
    }).toThrow(expect.objectContaining({ code: 'method_not_allowed' }))
  })

  it.each([
    { upgrade: 'websocket', connection: 'upgrade' },
    { 'transfer-encoding': 'chunked' },
    { 'content-length': '5' },
    { trailer: 'x' },
  ])('refuses a GET that carries or wants more: %j', (headers) => {
    expect(() => {
      checkRequest({ method: 'GET', headers })
    }).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
})
