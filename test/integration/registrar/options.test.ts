import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import {
  agentServices,
  catalogBackend,
  instancesOf,
  marked,
  readyz,
  registrarSettings,
  untilReady,
} from '../../support/registrar.ts'

const port9090 = marked({ port: '9090' })

describeWith(['consul'], 'options of the registrar', () => {
  it('selection: namespaces, pod and node labels; POLICY=upsert-only removes nothing', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'in', internalIps: ['192.168.0.1'], labels: { zone: 'a' } })
    kubernetes.addNode({ name: 'out', labels: { zone: 'b' } })
    for (const namespace of ['one', 'two', 'three'])
      for (const tier of ['web', 'db'])
        kubernetes.addPod({ namespace, name: tier, labels: { tier }, annotations: port9090 })
    const settings = await registrarSettings(consul, kubernetes, {
      NAMESPACES: 'one,two',
      POD_SELECTOR: 'tier=web',
      NODE_SELECTOR: 'zone in (a)',
      POLICY: 'upsert-only',
    })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    const ids = async () => [...(await agentServices(consul)).keys()].sort()
    const all = ['node--192.168.0.1', 'pod--one--web', 'pod--two--web']
    expect(await ids()).toEqual(all)
    kubernetes.deletePod('one', 'web')
    kubernetes.addPod({ namespace: 'two', name: 'late', labels: { tier: 'web' }, annotations: port9090 })
    await waitFor('the new one', async () => (await ids()).includes('pod--two--late'))
    expect(await ids()).toEqual(['node--192.168.0.1', 'pod--one--web', 'pod--two--late', 'pod--two--web'])
  })

  it('names by template, labels, and the route through the proxy', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({
      name: 'node-1',
      internalIps: ['192.168.0.1'],
      labels: { 'topology.kubernetes.io/zone': 'z1' },
    })
    kubernetes.addPod({
      name: 'web-6d94-x',
      nodeName: 'node-1',
      labels: { 'pod-template-hash': '6d94', tier: 'front' },
      owner: { kind: 'ReplicaSet', name: 'web-6d94' },
      annotations: port9090,
    })
    const settings = await registrarSettings(consul, kubernetes, {
      POD_SERVICE_NAME: '{cluster}-{workload}-{shard}',
      NODE_SERVICE_NAME: 'k8s-nodes',
      SHARD_PATHS: 's1',
      SHARD_STRATEGY: 'random',
      POD_LABELS: 'tier',
      NODE_LABELS: 'topology.kubernetes.io/zone',
      POD_ROUTE: 'proxy',
      NODE_PROXY_PORT: '32000',
    })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    const services = await agentServices(consul)
    expect(services.get('pod--default--web-6d94-x')).toMatchObject({
      Service: 'c1-web-s1',
      Tags: ['podsonar'],
      Address: '192.168.0.1',
      Port: 32_000,
      Meta: {
        workload_kind: 'Deployment',
        workload_name: 'web',
        label_tier: 'front',
        metrics_path: '/api/v1/namespaces/default/pods/web-6d94-x:9090/metrics',
      },
    })
    expect(services.get('node--192.168.0.1')).toMatchObject({
      Service: 'k8s-nodes',
      Meta: { label_topology_kubernetes_io_zone: 'z1' },
    })
    kubernetes.updateNode('node-1', { internalIps: ['192.168.0.2'] })
    await waitFor('the pod to follow its node', async () => {
      return (await agentServices(consul)).get('pod--default--web-6d94-x')?.Address === '192.168.0.2'
    })
  })

  it('SHARD_REBALANCE moves services to where the hash says, otherwise they keep a valid shard', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    for (let index = 0; index < 40; index += 1)
      kubernetes.addPod({ name: `web-${index}`, annotations: port9090 })
    const shards = async () => {
      const counts: Record<string, number> = {}
      for (const { Meta } of (await agentServices(consul)).values()) {
        const shard = Meta['shard_path'] ?? ''
        counts[shard] = (counts[shard] ?? 0) + 1
      }
      return counts
    }
    const once = async (more: Record<string, string>) => {
      const settings = await registrarSettings(consul, kubernetes, { ONCE: 'true', ...more })
      await using program = await Program.start(['registrar'], settings)
      expect(await program.process.exited).toEqual({ code: 0, signal: null })
    }
    await once({ SHARD_PATHS: 'a' })
    await once({ SHARD_PATHS: 'a,b' })
    expect(await shards()).toEqual({ a: 41 })
    await once({ SHARD_PATHS: 'a,b', SHARD_REBALANCE: 'true' })
    const balanced = await shards()
    expect(balanced['b']).toBeGreaterThan(8)
    expect(balanced['a']).toBeGreaterThan(8)
  })

  it('PEER_INFO tells who has an address: pods, services and nodes, each under all that it has', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1', 'fd00:3::1'] })
    kubernetes.addService('default', 'web', '10.96.0.10', 'fd00:2::10')
    kubernetes.addService('default', 'headless', 'None')
    kubernetes.addPod({ name: 'db-0', ip: '10.0.0.1', owner: { kind: 'StatefulSet', name: 'db' } })
    kubernetes.addPod({ name: 'dual', ip: '10.0.0.3', otherIps: ['fd00:1::3'] })
    kubernetes.addPod({ name: 'host', ip: '192.168.0.1', otherIps: ['fd00:3::1'], hostNetwork: true })
    kubernetes.addPod({ name: 'done', ip: '10.0.0.2', phase: 'Succeeded' })
    const settings = await registrarSettings(consul, kubernetes, { PEER_INFO: 'true' })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    const rows = async () =>
      (await (await fetch(`${await program.url()}/metrics`)).text())
        .split('\n')
        .filter((line) => line.startsWith('podsonar_peer_info'))
        .sort()
    await waitFor('all rows', async () => (await rows()).length === 7)
    expect(await rows()).toEqual([
      'podsonar_peer_info{remote_addr="10.0.0.1",kind="pod",namespace="default",name="db-0",workload="db"} 1',
      'podsonar_peer_info{remote_addr="10.0.0.3",kind="pod",namespace="default",name="dual",workload=""} 1',
      'podsonar_peer_info{remote_addr="10.96.0.10",kind="service",namespace="default",name="web",workload=""} 1',
      'podsonar_peer_info{remote_addr="192.168.0.1",kind="node",namespace="",name="node-1",workload=""} 1',
      'podsonar_peer_info{remote_addr="fd00:1::3",kind="pod",namespace="default",name="dual",workload=""} 1',
      'podsonar_peer_info{remote_addr="fd00:2::10",kind="service",namespace="default",name="web",workload=""} 1',
      'podsonar_peer_info{remote_addr="fd00:3::1",kind="node",namespace="",name="node-1",workload=""} 1',
    ])
  })

  it('CONSUL_DATACENTER names whose catalog is written, or is an error that says so', async () => {
    await using consul = await Consul.start({ config: { datacenter: 'dc9' } })
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    const at = async (datacenter: string) => {
      const more = { ...catalogBackend, CONSUL_DATACENTER: datacenter }
      return Program.start(['registrar'], await registrarSettings(consul, kubernetes, more))
    }
    await using wrong = await at('dc1')
    const reason = await waitFor('the reason', async () => (await readyz(wrong)).reasons['consul'])
    expect(reason).toContain('No path to datacenter')
    await using right = await at('dc9')
    await untilReady(right)
    expect(await instancesOf(consul, 'node--192.168.0.1')).toHaveLength(1)
  })

  it('writes readiness, and a flapping one at most every 30 s', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    kubernetes.addPod({ name: 'web-0', ready: false, annotations: port9090 })
    await using program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes))
    await untilReady(program)
    const ready = async () => (await agentServices(consul)).get('pod--default--web-0')?.Meta['ready']
    expect(await ready()).toBe('false')
    kubernetes.setReady('default', 'web-0', true)
    await waitFor('the first change', async () => (await ready()) === 'true')
    kubernetes.setReady('default', 'web-0', false)
    kubernetes.addPod({ name: 'web-1', annotations: port9090 })
    await waitFor('the other pod', async () => (await agentServices(consul)).has('pod--default--web-1'))
    expect(await ready()).toBe('true')
  })
})
