/** Records for tests: a running, annotated pod and a ready node, with what a test wants otherwise. */
import type { NodeRecord, PodRecord } from '../../src/kubernetes/records.ts'
import type { ServiceRecord } from '../../src/registrar/core/service.ts'

export function pod(changes: Partial<PodRecord> = {}): PodRecord {
  const { namespace = 'default', name = 'web-0' } = changes
  return {
    uid: `uid-${namespace}/${name}`,
    namespace,
    name,
    ip: '10.0.0.1',
    otherIps: [],
    hostNetwork: false,
    nodeName: 'node-1',
    phase: 'Running',
    ready: true,
    terminating: false,
    annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090' },
    labels: {},
    ports: [],
    owner: undefined,
    ...changes,
  }
}

export function node(changes: Partial<NodeRecord> = {}): NodeRecord {
  const { name = 'node-1' } = changes
  return {
    uid: `uid-${name}`,
    name,
    internalIps: ['192.168.0.1'],
    kubeletPort: 10_250,
    ready: true,
    labels: {},
    ...changes,
  }
}

/** A service of the cluster c1 in Consul. */
export function service(id: string, changes: Partial<ServiceRecord> = {}): ServiceRecord {
  return {
    id,
    name: id,
    address: '10.0.0.1',
    port: 9090,
    tags: ['podsonar', id],
    ...changes,
    meta: { cluster_name: 'c1', ready: 'true', ...changes.meta },
  }
}
