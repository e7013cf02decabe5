import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import {
  agentServices,
  catalogBackend,
  catalogServices,
  marked,
  registrarSettings,
  untilReady,
} from '../../support/registrar.ts'

/** What k8s-pod-metrics registers for a pod: its name is its ID and its only tag. */
function seedPod(name: string, ip: string, shard: string, namespace = 'default') {
  const id = `pod--${namespace}--${name}`
  const meta = {
    cluster_name: 'c1',
    namespace,
    pod_name: name,
    pod_ip: ip,
    metric_ip: ip,
    metrics_port: '9090',
    metrics_path: '/metrics',
    instance: `${ip}:9090`,
    shard_path: shard,
  }
  return { ID: id, Name: id, Address: ip, Port: 9090, Tags: [id], Meta: meta }
}

function seedNode(ip: string, shard: string) {
  const id = `node--${ip}`
  const meta = {
    cluster_name: 'c1',
    metrics_ip: ip,
    metrics_port: '31112',
    metrics_path: `/api/v1/nodes/${ip}:10250/metrics/cadvisor`,
    shard_path: shard,
  }
  return { ID: id, Name: id, Address: ip, Port: 31_112, Tags: [id], Meta: meta }
}

describeWith(['consul'], 'replacing k8s-pod-metrics in place', () => {
  it.each([
    ['agent', {}, agentServices],
    ['catalog', catalogBackend, catalogServices],
  ])('takes over what it left, shards included, with its RBAC (%s)', async (kind, backend, services) => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    const annotations = marked({ port: '9090' })
    kubernetes.addPod({ name: 'web-0', ip: '10.0.0.1', annotations })
    kubernetes.addPod({ name: 'web-1', ip: '10.0.0.2', annotations })
    kubernetes.addPod({ name: 'moved', ip: '10.0.0.33', annotations })
    kubernetes.addPod({ name: 'c', namespace: 'a--b', ip: '10.0.0.4', annotations })
    const left = [
      seedPod('web-0', '10.0.0.1', 'shard-2'),
      seedPod('web-1', '10.0.0.2', 'no-longer-a-shard'),
      seedPod('moved', '10.0.0.3', 'shard-1'),
      seedPod('c', '10.0.0.4', 'shard-1', 'a--b'),
      seedPod('gone', '10.0.0.5', 'shard-1'),
      { ...seedPod('pending', '', 'shard-1'), Address: '' },
      seedNode('192.168.0.1', 'shard-2'),
      seedNode('192.168.0.9', 'shard-2'),
    ]
    for (const service of left) await consul.put('/v1/agent/service/register', service)
    kubernetes.faults.arm({ kind: 'status', status: 403 }, { verb: 'watch', times: Number.POSITIVE_INFINITY })

    const more = { ...backend, SHARD_PATHS: 'shard-1,shard-2', SYNC_PERIOD: '2' }
    await using program = await Program.start(
      ['registrar'],
      await registrarSettings(consul, kubernetes, more),
    )
    await untilReady(program)
    const found = await services(consul)
    expect([...found.keys()].sort()).toEqual([
      'node--192.168.0.1',
      'pod--a--b--c',
      'pod--default--moved',
      'pod--default--web-0',
      'pod--default--web-1',
    ])
    expect(found.get('pod--default--moved')).toMatchObject({
      Address: '10.0.0.33',
      Meta: { instance: '10.0.0.33:9090' },
    })
    expect(found.get('pod--default--web-0')?.Tags).toEqual(['podsonar', 'pod--default--web-0'])
    expect(['shard-1', 'shard-2']).toContain(found.get('pod--default--web-1')?.Meta['shard_path'])
    for (const id of ['pod--default--web-0', 'pod--default--moved', 'pod--a--b--c', 'node--192.168.0.1'])
      expect(found.get(id)?.Meta['shard_path']).toBe(left.find(({ ID }) => ID === id)?.Meta.shard_path)
    if (kind === 'catalog')
      await waitFor('the agent to be empty', async () => (await agentServices(consul)).size === 0)

    await program.logged('watch_forbidden')
    kubernetes.addPod({ name: 'late', annotations })
    await waitFor('a pod that only a list shows', async () =>
      (await services(consul)).has('pod--default--late'),
    )
    kubernetes.deletePod('default', 'web-0')
    await waitFor('one less', async () => !(await services(consul)).has('pod--default--web-0'))
  })

  it('by its image alone, with an agent of its own in the new pod: shards stay, and the old agent is emptied', async () => {
    await using server = await Consul.start({ nodeName: 'server' })
    await using old = await Consul.start({ nodeName: 'agent-old', join: server })
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    const shards = ['shard-1', 'shard-2', 'shard-3']
    const left = Array.from({ length: 12 }, (_, index) => {
      const [name, ip] = [`web-${index}`, `10.0.0.${index}`]
      kubernetes.addPod({ name, ip, annotations: marked({ port: '9090' }) })
      return seedPod(name, ip, shards[index % 3] ?? '')
    })
    left.push(seedPod('gone', '10.0.0.99', 'shard-1'))
    for (const service of left) await old.put('/v1/agent/service/register', service)
    const names = async (node: string) => {
      const answer = await server.get<{ Services: object }>(`/v1/catalog/node/${node}`)
      return Object.keys(answer.Services)
    }
    await waitFor('the catalog to have them', async () => (await names('agent-old')).length === left.length)

    // The new pod starts while the old one is still there, as its Deployment has it; then that one is killed.
    await using own = await Consul.start({ nodeName: 'agent-new', join: server })
    const settings = await registrarSettings(own, kubernetes, {
      SHARD_PATHS: shards.join(','),
      SYNC_PERIOD: '2',
    })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    const found = await agentServices(own)
    expect(found.size).toBe(13)
    for (const { ID, Meta } of left.slice(0, 12))
      expect(found.get(ID)?.Meta['shard_path']).toBe(Meta.shard_path)
    await old.kill()
    await waitFor('the old set to go', async () => (await names('agent-old')).length === 0, {
      timeoutMs: 60_000,
    })
  })
})
