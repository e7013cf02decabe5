import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { agentServices, marked, registrarSettings } from '../../support/registrar.ts'

describeWith(['consul'], 'the registrar as a command', () => {
  it('DRY_RUN prints the plan as text and as JSON, and writes nothing', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ name: 'web-0', ip: '10.0.0.1', annotations: marked({ port: '9090' }) })
    await consul.put('/v1/agent/service/register', {
      ID: 'pod--default--gone',
      Name: 'pod--default--gone',
      Address: '10.0.0.9',
      Port: 1,
      Meta: { cluster_name: 'c1' },
    })
    const settings = await registrarSettings(consul, kubernetes, { DRY_RUN: 'true', ONCE: 'true' })
    await using text = await Program.start(['registrar'], settings)
    expect(await text.process.exited).toEqual({ code: 0, signal: null })
    expect(text.process.stdout).toBe(
      [
        '2 to register, 0 to update, 1 to deregister.',
        '  + node--192.168.0.1 at 192.168.0.1:31112',
        '  + pod--default--web-0 at 10.0.0.1:9090',
        '  - pod--default--gone at 10.0.0.9:1',
        '',
      ].join('\n'),
    )
    await using json = await Program.start(['registrar'], { ...settings, PLAN_FORMAT: 'json' })
    expect(await json.process.exited).toEqual({ code: 0, signal: null })
    expect(JSON.parse(json.process.stdout)).toMatchObject({
      register: [{ id: 'node--192.168.0.1' }, { id: 'pod--default--web-0', port: 9090 }],
      deregister: ['pod--default--gone'],
    })
    const all = await consul.get<Record<string, unknown>>('/v1/agent/services')
    expect(Object.keys(all)).toEqual(['pod--default--gone'])
  })

  it('DRY_RUN goes on printing as the cluster changes', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    const settings = await registrarSettings(consul, kubernetes, { DRY_RUN: 'true' })
    await using program = await Program.start(['registrar'], settings)
    await waitFor('the first plan', () => program.process.stdout.includes('1 to register'))
    kubernetes.addPod({ name: 'web-0', annotations: marked({ port: '9090' }) })
    await waitFor('the second', () => program.process.stdout.includes('+ pod--default--web-0'))
  })

  it('ONCE reconciles and ends', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ name: 'web-0', annotations: marked({ port: '9090' }) })
    const settings = await registrarSettings(consul, kubernetes, { ONCE: 'true' })
    await using program = await Program.start(['registrar'], settings)
    expect(await program.process.exited).toEqual({ code: 0, signal: null })
    expect([...(await agentServices(consul)).keys()].sort()).toEqual([
      'node--192.168.0.1',
      'pod--default--web-0',
    ])
  })

  it.each([
    ['SHARD_PATHS', 'a,,b', 'a comma-separated list'],
    ['POD_SERVICE_NAME', 'pods-{color}', '{cluster} {namespace} {pod}'],
    ['CONSUL_ADDRESS', 'ftp://x', 'host:port'],
    ['MAX_DEREGISTER_PERCENT', '101', 'a whole number from 0 to 100'],
    ['NAMESPACES', 'Upper', 'a namespace'],
    ['POLICY', 'delete', 'one of sync, upsert-only'],
    ['CONSUL_CLIENT_CERT', '/dev/null/x', 'a readable file'],
  ])('refuses %s=%s, and says what it accepts', async (variable, value, accepted) => {
    await using program = await Program.start(['registrar'], { [variable]: value })
    expect(await program.process.exited).toEqual({ code: 2, signal: null })
    expect(program.process.stderr).toContain(`${variable}: expected`)
    expect(program.process.stderr).toContain(accepted)
    expect(program.process.stderr).toContain(JSON.stringify(value))
  })
})
