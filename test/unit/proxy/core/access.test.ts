import { describe, expect, it } from 'vitest'
import type { NodeRecord, PodRecord } from '../../../../src/kubernetes/records.ts'
import { allowNode, allowPod, type NodeRules } from '../../../../src/proxy/core/access.ts'
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

const pod: PodRecord = {
  uid: 'p1',
  namespace: 'shop',
  name: 'web-0',
  ip: '10.1.0.5',
  otherIps: [],
  hostNetwork: false,
  nodeName: 'node-1',
  phase: 'Running',
  ready: true,
  terminating: false,
  annotations: {
    'prometheus.io/scrape': 'true',
    'prometheus.io/port': '8080,9090',
    'prometheus.io/path': '/stats',
    'prometheus.io/param_format': 'prometheus',
  },
  labels: {},
  ports: [],
  owner: undefined,
}
const podRoute: Extract<Route, { kind: 'pod' }> = {
  kind: 'pod',
  namespace: 'shop',
  pod: 'web-0',
  port: 9090,
  path: '/stats',
}

describe('allowPod', () => {
  it('gives what the pod declares, its parameters included', () => {
    expect(allowPod(podRoute, pod, rules)).toEqual({
      label: 'shop/web-0',
      scheme: 'http',
      address: '10.1.0.5',
      port: 9090,
      path: '/stats?format=prometheus',
      certificateName: '',
      isKubelet: false,
    })
  })

  it('refuses a port or path that the pod does not declare', () => {
    expect(() => allowPod({ ...podRoute, port: 22 }, pod, rules)).toThrow(
      expect.objectContaining({ code: 'port_not_allowed' }),
    )
    expect(() => allowPod({ ...podRoute, path: '/admin' }, pod, rules)).toThrow(
      expect.objectContaining({ code: 'path_not_allowed' }),
    )
  })

  it.each([
    ['that is not known', undefined],
    ['that is no scrape target', { ...pod, annotations: {} }],
    ['that has ended', { ...pod, phase: 'Succeeded' }],
    ['without an address', { ...pod, ip: undefined }],
    ['whose address is loopback', { ...pod, ip: '127.0.0.1' }],
    ['whose address is link-local', { ...pod, ip: '169.254.169.254' }],
    ['whose address is none', { ...pod, ip: 'localhost' }],
  ])('refuses a pod %s', (_title, candidate) => {
    expect(() => allowPod(podRoute, candidate, rules)).toThrow(
      expect.objectContaining({ code: 'unknown_pod' }),
    )
  })
})
