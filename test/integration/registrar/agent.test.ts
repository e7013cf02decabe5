import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import {
  agentServices,
  marked,
  metric,
  readyz,
  registrarSettings,
  untilReady,
} from '../../support/registrar.ts'

const port9090 = marked({ port: '9090' })

describeWith(['consul'], 'the registrar with a Consul agent', () => {
  it('registers annotated pods and all nodes, follows changes, and removes what is gone', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ name: 'web-0', ip: '10.0.0.1', annotations: port9090 })
    kubernetes.addPod({ name: 'plain' })
    await using program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes))
    const ids = async () => [...(await agentServices(consul)).keys()].sort()

    await waitFor('both', async () => (await ids()).length === 2)
    const service = (await agentServices(consul)).get('pod--default--web-0')
    expect(service).toMatchObject({
      Service: 'pod--default--web-0',
      Address: '10.0.0.1',
      Port: 9090,
      Tags: ['podsonar', 'pod--default--web-0'],
      Meta: { cluster_name: 'c1', managed_by: 'podsonar', metrics_path: '/metrics', ready: 'true' },
    })

    kubernetes.updatePod('default', 'web-0', { ip: '10.0.0.2' })
    await waitFor(
      'the new address',
      async () => (await agentServices(consul)).get('pod--default--web-0')?.Address === '10.0.0.2',
    )
    kubernetes.addPod({ name: 'web-1', annotations: port9090 })
    await waitFor('the new pod', async () => (await ids()).includes('pod--default--web-1'))
    kubernetes.deletePod('default', 'web-0')
    await waitFor('the removal', async () => !(await ids()).includes('pod--default--web-0'))
    expect(await ids()).toEqual(['node--192.168.0.1', 'pod--default--web-1'])
    kubernetes.updatePod('default', 'web-1', { annotations: {} })
    await waitFor('the pod that is no longer annotated', async () => (await ids()).length === 1)

    await untilReady(program)
    program.process.kill('SIGTERM')
    expect(await program.process.exited).toEqual({ code: 0, signal: null })
    expect(await ids()).toEqual(['node--192.168.0.1'])
    const all = await consul.get<Record<string, unknown>>('/v1/agent/services')
    expect(Object.keys(all), 'a clean stop takes the heartbeat away').toEqual(['node--192.168.0.1'])
  })

  it('says on its page, in metrics and in the log what it skips and why', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    for (const port of ['abc', '0', '70000'])
      kubernetes.addPod({ name: `port-${port}`, annotations: marked({ port }) })
    kubernetes.addPod({ name: 'no-slash', annotations: marked({ port: '1', path: 'stats' }) })
    kubernetes.addPod({ name: 'no-ip', ip: undefined, phase: 'Pending', annotations: port9090 })
    kubernetes.addPod({ name: 'done', phase: 'Succeeded', annotations: port9090 })
    kubernetes.addPod({
      name: 'long',
      annotations: marked({ port: '1', param_long: 'x'.repeat(600) }),
    })
    await using program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes))
    await untilReady(program)

    const services = await agentServices(consul)
    expect([...services.keys()].filter((id) => id.startsWith('pod--')).sort()).toEqual([
      'pod--default--long',
      'pod--default--no-slash',
    ])
    expect(services.get('pod--default--no-slash')?.Meta['metrics_path']).toBe('/stats')
    expect(services.get('pod--default--long')?.Meta).not.toHaveProperty('param_long')
    expect(await metric(program, 'podsonar_registrar_dropped_meta_pairs')).toBe(1)
    for (const [reason, count] of [
      ['invalid_port', 3],
      ['no_ip', 1],
      ['finished', 1],
    ] as const)
      expect(await metric(program, `podsonar_registrar_skipped_objects{reason="${reason}"}`)).toBe(count)
    await program.logged('skipped', ({ object }) => object === 'default/port-70000')
    const page = await (await fetch(await program.url())).text()
    expect(page).toContain('default/port-abc')
    expect(page).toContain('expected ports from 1 to 65535')
    expect(page).toContain('taken as &quot;/stats&quot;')

    kubernetes.updatePod('default', 'no-ip', { ip: '10.9.9.9', phase: 'Running' })
    await waitFor('the pod that got its IP', async () =>
      (await agentServices(consul)).has('pod--default--no-ip'),
    )
  })

  it('waits for a Consul that is not there, says so, and goes on when it is', async () => {
    await using consul = await Consul.start()
    await consul.kill()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    await using program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes))
    const reasons = await waitFor('the reason', async () => {
      const { ready, reasons } = await readyz(program)
      return !ready && reasons['consul'] !== undefined && reasons
    })
    expect(reasons['consul']).toMatch(
      /^Cannot read the heartbeat: no answer from Consul at 127.0.0.1:\d+ \(ECONNREFUSED\)/,
    )
    await consul.restart()
    await untilReady(program)
    expect((await agentServices(consul)).size).toBe(1)
  })

  it('refills an agent that lost its services within 15 s', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    for (let index = 0; index < 20; index += 1)
      kubernetes.addPod({ name: `web-${index}`, annotations: port9090 })
    await using program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes))
    await untilReady(program)
    await consul.kill()
    await consul.restart()
    await program.logged('loss_noticed')
    await waitFor('all of them', async () => (await agentServices(consul)).size === 21, { timeoutMs: 15_000 })
  })

  it('reconciles fully every SYNC_PERIOD: repairs what others changed, and leaves the rest alone', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ name: 'web-0', annotations: port9090 })
    const strangers = [
      { ID: 'pod--default--other', Name: 'x', Meta: { cluster_name: 'c2' } },
      { ID: 'redis', Name: 'redis', Meta: { cluster_name: 'c1' } },
      { ID: 'pod--default--nobodys', Name: 'y' },
    ]
    for (const stranger of strangers) await consul.put('/v1/agent/service/register', stranger)
    await consul.put('/v1/agent/service/register', {
      ID: 'pod--default--gone',
      Name: 'pod--default--gone',
      Meta: { cluster_name: 'c1' },
    })
    const settings = await registrarSettings(consul, kubernetes, { SYNC_PERIOD: '1' })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    const ids = async () => [...(await agentServices(consul)).keys()].sort()
    const wanted = [
      'node--192.168.0.1',
      'pod--default--nobodys',
      'pod--default--other',
      'pod--default--web-0',
    ]
    expect(await ids()).toEqual(wanted)
    await consul.put('/v1/agent/service/deregister/pod--default--web-0', undefined)
    await waitFor('the repair', async () => (await ids()).length === 4)

    // Nothing changes any more, so nothing is written, however often it is read.
    const writes = () =>
      metric(program, 'podsonar_registrar_operations_total{operation="register",kind="pod",result="ok"}')
    const syncs = () => metric(program, 'podsonar_registrar_syncs_total{scope="full",result="ok"}')
    const moreSyncs = async (count: number) => {
      const before = await syncs()
      await waitFor('more syncs', async () => (await syncs()) >= before + count)
    }
    await moreSyncs(1) // the one that repaired it is counted after that
    const writesBefore = await writes()
    await moreSyncs(2)
    expect(await writes()).toBe(writesBefore)
    expect(await ids()).toEqual(wanted)
    expect(await consul.get('/v1/agent/service/redis')).toMatchObject({ ID: 'redis' })
  })

  it('leaves an ID alone that another cluster has, and says so', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    kubernetes.addPod({ name: 'web-0', annotations: port9090 })
    await consul.put('/v1/agent/service/register', {
      ID: 'pod--default--web-0',
      Name: 'theirs',
      Meta: { cluster_name: 'c2' },
    })
    await using program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes))
    await untilReady(program)
    expect((await agentServices(consul)).get('pod--default--web-0')?.Service).toBe('theirs')
    expect(await metric(program, 'podsonar_registrar_skipped_objects{reason="id_conflict"}')).toBe(1)
    await program.logged('id_conflict', ({ owner }) => owner === 'c2')
  })

  it('warns from 150 service names on, and says what to set', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    for (let index = 0; index < 150; index += 1)
      kubernetes.addPod({ name: `web-${index}`, annotations: port9090 })
    await using many = await Program.start(['registrar'], await registrarSettings(consul, kubernetes))
    await untilReady(many)
    await waitFor('the warning', async () =>
      (await readyz(many)).notes['service names']?.includes('POD_SERVICE_NAME=k8s-pods'),
    )
  })

  it('without a CLUSTER_NAME takes a default beside a local agent only', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    const settings = await registrarSettings(consul, kubernetes, { CLUSTER_NAME: '' })
    await using program = await Program.start(['registrar'], settings)
    await program.logged('default_cluster_name')
    await untilReady(program)
    const [port = 0] = await freePorts(1)
    const remote = { ...settings, CONSUL_ADDRESS: `http://192.0.2.1:${port}` }
    await using refused = await Program.start(['registrar'], remote)
    expect(await refused.process.exited).toMatchObject({ code: 2 })
    expect(refused.process.stderr).toMatch(/CLUSTER_NAME: expected the name of this cluster.*it is not set/)
  })
})
