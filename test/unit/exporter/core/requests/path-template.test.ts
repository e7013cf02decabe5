import { describe, expect, it } from 'vitest'
import { pathTemplate } from '../../../../../src/exporter/core/requests/path-template.ts'

describe('the template of a path', () => {
  it.each([
    ['/', '/'],
    ['/users', '/users'],
    ['/users/42', '/users/{number}'],
    ['/users/42/posts/7', '/users/{number}/posts/{number}'],
    ['/users/1b4e28ba-2fa1-11d2-883f-0016d3cca427', '/users/{uuid}'],
    ['/blobs/sha256-9f86d081884c7d659a2feaa0c55ad015', '/blobs/sha256-{hash}'],
    ['/assets/app.3f2a1b9c.js', '/assets/app.{hash}.js'],
    ['/v1/orders/order-12345', '/v1/orders/order-{number}'],
    ['/days/2024-01-05', '/days/{number}-{number}-{number}'],
    ['/s/dGhpc2lzYXRva2Vu1Mjq', '/s/{token}'],
    ['/mail/jo@example.com', '/mail/{text}'],
    ['/name/J%C3%BCrgen', '/name/{text}'],
    ['/raw/\xff\x00\x01', '/raw/{text}'],
    ['/a/b/c/d/e/f/g/h/i/j', '/a/b/c/d/e/f/g/h/**'],
    ['/search?q=secret', '/search'],
    ['/search#secret', '/search'],
    ['/?q=1', '/'],
    ['http://shop/cart/7?x=1', '/cart/{number}'],
    ['http://shop', '/'],
    ['*', '*'],
    ['shop:443', ''],
    ['/trailing/', '/trailing/'],
    ['/api/v2beta1/namespaces', '/api/v2beta1/namespaces'],
    ['/internationalization', '/internationalization'],
  ])('of %s is %s', (path, template) => {
    expect(pathTemplate(path)).toBe(template)
  })

  it('is short, whatever the path', () => {
    for (const path of [
      `/${'a'.repeat(9_000)}`,
      `/${'a/'.repeat(4_000)}`,
      `/${'word/'.repeat(8)}${'x-'.repeat(2_000)}`,
    ])
      expect(pathTemplate(path).length).toBeLessThanOrEqual(140)
  })

  it('keeps no identifier of a thousand in a label', () => {
    const templates = new Set<string>()
    for (let k = 0; k < 1_000; k += 1) {
      templates.add(pathTemplate(`/u/${(k * 7_919_773).toString(16).padStart(9, '0')}1/x`))
      templates.add(pathTemplate(`/t/${Buffer.from(`key ${k * 104_729} of many`).toString('base64url')}`))
    }
    expect(templates.size).toBeLessThan(10)
  })
})
