import { describe, expect, it } from 'vitest'
import type { NodeRecord } from '../../../../src/kubernetes/records.ts'
import { allowNode, type NodeRules } from '../../../../src/proxy/core/access.ts'
import type { Route } from '../../../../src/proxy/core/route.ts'

type NodeRoute = Extract<Route, { kind: 'node' }>

const node: NodeRecord = {
  uid: 'u1',
  name: 'node-1',
  internalIps: ['10.0.0.1', '127.0.0.1', '169.254.169.254'],
  kubeletPort: 10_250,
  ready: true,
  labels: {},
}
const rules: NodeRules = { paths: new Set(['/metrics/cadvisor']), allowLoopback: false }
const route: NodeRoute = { kind: 'node', address: '10.0.0.1', port: 10_250, path: '/metrics/cadvisor' }

describe('allowNode', () => {
  it('gives the address of the node and the name that its certificate may have', () => {
    expect(allowNode(route, node, rules)).toEqual({
      label: 'node-1',
      scheme: 'https',
      address: '10.0.0.1',
      port: 10_250,
      path: '/metrics/cadvisor',
      certificateName: 'node-1',
      isKubelet: true,
    })
  })

  it.each(['/metrics', '/pods', '/run/default/web/c', '/metrics/cadvisor/', ''])(
    'serves only the paths that are set: %s',
    (path) => {
      expect(() => allowNode({ ...route, path }, node, rules)).toThrow(
        expect.objectContaining({ code: 'not_found' }),
      )
    },
  )

  it('refuses an address that no node has', () => {
    expect(() => allowNode(route, undefined, rules)).toThrow(
      expect.objectContaining({ code: 'unknown_node' }),
    )
  })

  it.each(['127.0.0.1', '169.254.169.254'])('refuses %s even where a node claims it', (address) => {
    expect(() => allowNode({ ...route, address }, node, rules)).toThrow(
      expect.objectContaining({ code: 'unknown_node' }),
    )
  })

  it('lets loopback addresses pass only where that is set, and link-local ones never', () => {
    const loose = { ...rules, allowLoopback: true }
    expect(allowNode({ ...route, address: '127.0.0.1' }, node, loose).address).toBe('127.0.0.1')
    expect(() => allowNode({ ...route, address: '169.254.169.254' }, node, loose)).toThrow()
  })

  it("refuses every port but the kubelet's", () => {
    expect(() => allowNode({ ...route, port: 22 }, node, rules)).toThrow(
      expect.objectContaining({ code: 'port_not_allowed' }),
    )
  })
})
