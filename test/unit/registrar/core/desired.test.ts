import { describe, expect, it } from 'vitest'
import {
  DesiredServices,
  type DesiredContext,
  type DesiredOptions,
} from '../../../../src/registrar/core/desired.ts'
import { shardChooser } from '../../../../src/registrar/core/shard.ts'
import { node, pod } from '../../../support/records.ts'

const context: DesiredContext = { currentShard: () => undefined, nodeIp: () => undefined }
const build = (options: Partial<DesiredOptions> = {}) =>
  new DesiredServices({
    clusterName: 'c1',
    podServiceName: 'pod--{namespace}--{pod}',
    nodeServiceName: 'node--{ip}',
    nodeProxyAddress: '{ip}',
    nodeProxyPort: 31_112,
    shardOf: shardChooser({ shards: ['s1'], strategy: 'hash', rebalance: false }),
    podLabels: [],
    nodeLabels: [],
    podRoute: 'direct',
    ...options,
  })
const annotations = (more: Record<string, string>) =>
  Object.fromEntries(
    Object.entries({ scrape: 'true', port: '9090', ...more }).map(([key, value]) => [
      `prometheus.io/${key}`,
      value,
    ]),
  )

describe('a pod in Consul', () => {
  it('has every key that consumers of the seed program relabel on, and the added ones', () => {
    const owner = { kind: 'ReplicaSet', name: 'web-6d94' }
    const labels = { 'pod-template-hash': '6d94' }
    expect(build().ofPod(pod({ owner, labels }), context).services).toEqual([
      {
        id: 'pod--default--web-0',
        name: 'pod--default--web-0',
        address: '10.0.0.1',
        port: 9090,
        tags: ['podsonar', 'pod--default--web-0'],
        meta: {
          cluster_name: 'c1',
          namespace: 'default',
          pod_name: 'web-0',
          pod_ip: '10.0.0.1',
          metric_ip: '10.0.0.1',
          metrics_port: '9090',
          metrics_path: '/metrics',
          instance: '10.0.0.1:9090',
          shard_path: 's1',
          managed_by: 'podsonar',
          pod_uid: 'uid-default/web-0',
          ready: 'true',
          node_name: 'node-1',
          workload_kind: 'Deployment',
          workload_name: 'web',
          metrics_scheme: 'http',
        },
      },
    ])
  })

  it('is one service per port, the first without a suffix', () => {
    const { services } = build().ofPod(pod({ annotations: annotations({ port: '1,2' }) }), context)
    expect(services.map(({ id, port, meta }) => [id, port, meta['instance']])).toEqual([
      ['pod--default--web-0', 1, '10.0.0.1:1'],
      ['pod--default--web-0--2', 2, '10.0.0.1:2'],
    ])
  })

  it('with an IPv6 address has it in brackets only where a port follows', () => {
    const [service] = build().ofPod(pod({ ip: 'fd00::7' }), context).services
    expect(service).toMatchObject({
      address: 'fd00::7',
      meta: { pod_ip: 'fd00::7', instance: '[fd00::7]:9090' },
    })
  })

  it('keeps the shard that it has', () => {
    const options = { shardOf: shardChooser({ shards: ['a', 'b'], strategy: 'hash', rebalance: false }) }
    for (const shard of ['a', 'b']) {
      const [service] = build(options).ofPod(pod(), { ...context, currentShard: () => shard }).services
      expect(service?.meta['shard_path']).toBe(shard)
    }
  })

  it('takes its name from the template, and then has no tag of its own', () => {
    const options = { podServiceName: 'k8s-{cluster}-{namespace}-{workload}-{shard}-{node}' }
    const [service] = build(options).ofPod(
      pod({ owner: { kind: 'StatefulSet', name: 'web' } }),
      context,
    ).services
    expect(service).toMatchObject({
      id: 'pod--default--web-0',
      name: 'k8s-c1-default-web-s1-node-1',
      tags: ['podsonar'],
    })
  })

  it('carries the labels that were asked for, under names that Consul takes', () => {
    const labels = { 'app.kubernetes.io/name': 'web', tier: 'front', other: 'x' }
    const { services } = build({ podLabels: ['app.kubernetes.io/name', 'tier', 'absent'] }).ofPod(
      pod({ labels }),
      context,
    )
    expect(services[0]?.meta).toMatchObject({ label_app_kubernetes_io_name: 'web', label_tier: 'front' })
    expect(services[0]?.meta).not.toHaveProperty('label_other')
    expect(build({ podLabels: ['*'] }).ofPod(pod({ labels }), context).services[0]?.meta).toHaveProperty(
      'label_other',
    )
  })

  it('loses the pairs that Consul would refuse, which are counted, and nothing else', () => {
    const labels = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`l${index}`, 'v']))
    const { services, droppedMeta } = build({ podLabels: ['*'] }).ofPod(
      pod({ labels, annotations: annotations({ param_long: 'ü'.repeat(300), 'param_match[]': 'x' }) }),
      context,
    )
    const meta = services[0]?.meta ?? {}
    expect(Object.keys(meta)).toHaveLength(64)
    expect(meta).toMatchObject({ cluster_name: 'c1', metrics_path: '/metrics' })
    expect(meta).not.toHaveProperty('param_long')
    expect(droppedMeta).toBe(80 + 2 - (64 - 14))
  })

  it('is reached through the proxy of its node where that is the route', () => {
    const options = { podRoute: 'proxy' as const }
    const known = { ...context, nodeIp: () => '192.168.0.1' }
    expect(build(options).ofPod(pod(), known).services[0]).toMatchObject({
      address: '192.168.0.1',
      port: 31_112,
      meta: {
        metrics_path: '/api/v1/namespaces/default/pods/web-0:9090/metrics',
        instance: '10.0.0.1:9090',
        metrics_port: '9090',
      },
    })
    const https = build(options).ofPod(pod({ annotations: annotations({ scheme: 'https' }) }), known)
    expect(https.services[0]?.meta['metrics_scheme']).toBe('http')
    expect(build(options).ofPod(pod(), context).skipped?.reason).toBe('no_node')
    expect(build({ ...options, nodeProxyAddress: 'lb' }).ofPod(pod(), context).services[0]?.address).toBe(
      'lb',
    )
  })

  it('says why it is not there', () => {
    const { services, skipped } = build().ofPod(pod({ annotations: annotations({ port: 'abc' }) }), context)
    expect(services).toEqual([])
    expect(skipped?.reason).toBe('invalid_port')
    expect(skipped?.detail).toContain('"abc"')
  })
})

describe('a node in Consul', () => {
  it('is its cAdvisor endpoint behind the proxy', () => {
    expect(build().ofNode(node(), context).services).toEqual([
      {
        id: 'node--192.168.0.1',
        name: 'node--192.168.0.1',
        address: '192.168.0.1',
        port: 31_112,
        tags: ['podsonar', 'node--192.168.0.1'],
        meta: {
          cluster_name: 'c1',
          metrics_ip: '192.168.0.1',
          metrics_port: '31112',
          metrics_path: '/api/v1/nodes/192.168.0.1:10250/metrics/cadvisor',
          shard_path: 's1',
          managed_by: 'podsonar',
          node_name: 'node-1',
          ready: 'true',
        },
      },
    ])
  })

  it('may be reached through one load balancer, and has IPv6 in brackets in its path', () => {
    const [service] = build({ nodeProxyAddress: 'lb.example' }).ofNode(
      node({ internalIps: ['fd00::1'] }),
      context,
    ).services
    expect(service).toMatchObject({
      id: 'node--fd00::1',
      address: 'lb.example',
      meta: { metrics_path: '/api/v1/nodes/[fd00::1]:10250/metrics/cadvisor', metrics_ip: 'fd00::1' },
    })
  })

  it('is skipped without an internal address', () => {
    expect(build().ofNode(node({ internalIps: [] }), context).skipped?.reason).toBe('no_ip')
  })
})
