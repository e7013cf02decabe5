import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { agentServices, marked, registrarSettings } from '../../support/registrar.ts'

describeWith(['consul'], 'the registrar with a Consul agent', () => {
  it('registers annotated pods and all nodes, follows changes, and removes what is gone', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ name: 'web-0', ip: '10.0.0.1', annotations: marked({ port: '9090' }) })
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
    kubernetes.addPod({ name: 'web-1', annotations: marked({ port: '9090' }) })
    await waitFor('the new pod', async () => (await ids()).includes('pod--default--web-1'))
    kubernetes.deletePod('default', 'web-0')
    await waitFor('the removal', async () => !(await ids()).includes('pod--default--web-0'))
    expect(await ids()).toEqual(['node--192.168.0.1', 'pod--default--web-1'])

    const ready = await fetch(`${await program.url()}/readyz`)
    expect(await ready.json()).toMatchObject({ ready: true, reasons: {} })
  })
})
