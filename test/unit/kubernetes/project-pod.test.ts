import { describe, expect, test } from 'vitest'
import { projectNode } from '../../../src/kubernetes/project-node.ts'
import { projectPod } from '../../../src/kubernetes/project-pod.ts'
import { recordedList } from './recorded.ts'

describe('projectPod', () => {
  test('keeps what is used of a recorded pod', async () => {
    const [pod] = await recordedList('pods-list-page1.json')
    expect(projectPod(pod)).toEqual({
      uid: '9c949af1-b50f-415e-ac08-15add6d62bf2',
      namespace: 'default',
      name: 'web-6d9467768-2xc77',
      ip: '10.89.0.9',
      otherIps: [],
      hostNetwork: false,
      nodeName: 'node1',
      phase: 'Running',
      ready: true,
      terminating: false,
      annotations: {
        'prometheus.io/path': '/metrics',
        'prometheus.io/port': '9090',
        'prometheus.io/scrape': 'true',
      },
      labels: { app: 'web', 'pod-template-hash': '6d9467768' },
      ports: [],
      owner: { kind: 'ReplicaSet', name: 'web-6d9467768' },
    })
  })

  test('takes a pod that was just created: no address, no node, not ready', () => {
    const metadata = { name: 'a', namespace: 'x', uid: 'u' }
    expect(projectPod({ metadata, spec: { containers: [] }, status: { phase: 'Pending' } })).toEqual({
      ...{
        uid: 'u',
        namespace: 'x',
        name: 'a',
        ip: undefined,
        otherIps: [],
        hostNetwork: false,
        nodeName: undefined,
      },
      ...{ phase: 'Pending', ready: false, terminating: false, annotations: {}, labels: {}, ports: [] },
      owner: undefined,
    })
  })

  test('keeps every address of a dual-stack pod, the first one apart', () => {
    const metadata = { name: 'a', namespace: 'x', uid: 'u' }
    const podIPs = [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }]
    expect(projectPod({ metadata, status: { podIP: '10.0.0.1', podIPs } })).toMatchObject({
      ip: '10.0.0.1',
      otherIps: ['fd00::1'],
    })
  })

  test('keeps only the annotations of prometheus.io, and the controlling owner', () => {
    const record = projectPod({
      metadata: {
        ...{ name: 'a', namespace: 'x', uid: 'u', deletionTimestamp: '2026-01-01T00:00:00Z' },
        annotations: { 'prometheus.io/scrape': 'true', secret: 'no' },
        ownerReferences: [
          { kind: 'Thing', name: 't' },
          { kind: 'StatefulSet', name: 's', controller: true },
        ],
      },
    })
    expect(record.annotations).toEqual({ 'prometheus.io/scrape': 'true' })
    expect(record.owner).toEqual({ kind: 'StatefulSet', name: 's' })
    expect(record.terminating).toBe(true)
  })

  test('keeps the ports of all containers in order, and not those of init containers', () => {
    const record = projectPod({
      metadata: { name: 'a', namespace: 'x', uid: 'u' },
      spec: {
        initContainers: [{ ports: [{ containerPort: 1 }] }],
        containers: [
          { ports: [{ name: 'metrics', containerPort: 2 }] },
          {},
          { ports: [{ containerPort: 3, protocol: 'UDP' }] },
        ],
      },
    })
    expect(record.ports).toEqual([
      { name: 'metrics', port: 2, protocol: 'TCP' },
      { name: undefined, port: 3, protocol: 'UDP' },
    ])
  })

  test('refuses what is no object of the API', () => {
    expect(() => projectPod({})).toThrow('Cannot read a pod: it has no metadata.name or metadata.uid')
  })
})

describe('projectNode', () => {
  test('keeps what is used of the recorded node', async () => {
    const [node] = await recordedList('nodes-list.json')
    expect(projectNode(node)).toMatchObject({
      ...{ name: 'node1', uid: '43c2d48e-f36c-4063-afc5-eb6c03bf19c6', ready: true, kubeletPort: 10_250 },
      internalIps: ['192.0.2.2'],
      labels: { 'kubernetes.io/hostname': 'node1' },
    })
  })

  test('keeps both addresses of a dual-stack node, and the usual kubelet port when none is given', () => {
    const addresses = [
      { type: 'InternalIP', address: '10.0.0.1' },
      { type: 'ExternalIP', address: '203.0.113.1' },
      { type: 'InternalIP', address: 'fd00::1' },
    ]
    const record = projectNode({ metadata: { name: 'n', uid: 'u' }, status: { addresses } })
    expect(record).toEqual({
      ...{ uid: 'u', name: 'n', internalIps: ['10.0.0.1', 'fd00::1'] },
      ...{ kubeletPort: 10_250, ready: false, labels: {} },
    })
  })
})
