import { describe, expect, it } from 'vitest'
import { Refusal } from '../../../../src/proxy/core/refusal.ts'
import { parseRoute } from '../../../../src/proxy/core/route.ts'

function codeOf(target: string): string {
  try {
    parseRoute(target)
    return 'accepted'
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
}

describe('parseRoute', () => {
  it('reads a node with an IPv4 address', () => {
    expect(parseRoute('/api/v1/nodes/10.0.0.1:10250/metrics/cadvisor')).toEqual({
      kind: 'node',
      address: '10.0.0.1',
      port: 10_250,
      path: '/metrics/cadvisor',
    })
  })

  it.each(['[fd00::1]:10250', '%5Bfd00::1%5D:10250', '%5bfd00%3a%3a1%5d%3a10250', '[FD00:0::1]:10250'])(
    'reads a node with an IPv6 address, however its brackets are written: %s',
    (authority) => {
      expect(parseRoute(`/api/v1/nodes/${authority}/metrics`)).toMatchObject({
        address: 'fd00::1',
        port: 10_250,
      })
    },
  )

  it('leaves a query out', () => {
    expect(parseRoute('/api/v1/nodes/10.0.0.1:10250/metrics?x=1')).toMatchObject({ path: '/metrics' })
  })

  it('reads a pod', () => {
    expect(parseRoute('/api/v1/namespaces/shop/pods/web-0:8080/probe?target=http://x/&m=%20')).toEqual({
      kind: 'pod',
      namespace: 'shop',
      pod: 'web-0',
      port: 8080,
      path: '/probe',
    })
  })

  it.each([
    'http://10.0.0.1:10250/metrics/cadvisor',
    '//10.0.0.1:10250/metrics',
    '*',
    '',
    '/api/v1/nodes/10.0.0.1%2F:10250/metrics',
    '/api/v1/nodes/10.0.0.1%3F:10250/metrics',
    '/api/v1/nodes/10.0.0.1%23:10250/metrics',
    '/api/v1/nodes/10.0.0.1%40127.0.0.1:10250/metrics',
    '/api/v1/nodes/user@10.0.0.1:10250/metrics',
    '/api/v1/nodes/10.0.0.1:10250/../../secrets',
    '/api/v1/nodes/10.0.0.1:10250/./metrics',
    '/api/v1/nodes/10.0.0.1:10250/%2e%2e/metrics',
    '/api/v1/nodes/10.0.0.1:10250/metrics\\cadvisor',
    '/api/v1/nodes/10.0.0.1:10250/metrics#x',
    '/api/v1/nodes/[fe80::1%25eth0]:10250/metrics',
    '/api/v1/nodes/10.0.0.1:10250/metrics?a b',
  ])('refuses as bad_path what two readers could read differently: %j', (target) => {
    expect(codeOf(target)).toBe('bad_path')
  })

  it.each([
    '10.0.0.1',
    ':10250',
    'node-1:10250',
    'localhost:10250',
    '010.0.0.1:10250',
    '10.1:10250',
    '167772161:10250',
    '0x7f.0.0.1:10250',
    'fd00::1:10250',
    '[10.0.0.1]:10250',
    '[::ffff:127.0.0.1]:10250',
    '[::ffff:7f00:1]:10250',
    '[fd00::1]',
    '[fd00::1]x:10250',
    '10.0.0.1:0',
    '10.0.0.1:010250',
    '10.0.0.1:65536',
    '10.0.0.1:10250:1',
    '10.0.0.1:https',
  ])('refuses as bad_address what is not one address and port: %s', (authority) => {
    expect(codeOf(`/api/v1/nodes/${authority}/metrics/cadvisor`)).toBe('bad_address')
  })

  it.each([
    '/',
    '/metrics',
    '/healthz',
    '/api/v1/nodes',
    '/api/v1/namespaces/shop/pods/web-0/metrics',
    '/api/v1/namespaces/shop/pods/web-0:80',
    '/api/v1/namespaces/SHOP/pods/web-0:80/metrics',
    '/api/v1/namespaces/shop/services/web:80/metrics',
  ])('knows nothing else: %s', (target) => {
    expect(codeOf(target)).toBe('not_found')
  })
})
