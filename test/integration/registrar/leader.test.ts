import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { marked, metric, readyz, registrarSettings, untilReady } from '../../support/registrar.ts'

const patient = { timeoutMs: 60_000 }

interface Instance {
  readonly ServiceID: string
  readonly ServiceAddress: string
}

/** `id address` of the pods in the catalog. */
async function pods(consul: Consul): Promise<string[]> {
  const instances = await consul.get<Instance[]>('/v1/catalog/service/k8s-pods')
  return instances.map(({ ServiceID, ServiceAddress }) => `${ServiceID} ${ServiceAddress}`).sort()
}

const leading = async (program: Program) => (await metric(program, 'podsonar_registrar_leader')) === 1

describeWith(['consul'], 'two replicas of the registrar', () => {
  const start = async (consul: Consul, kubernetes: SimulatedKubernetes) => {
    const names = { POD_SERVICE_NAME: 'k8s-pods', NODE_SERVICE_NAME: 'k8s-nodes' }
    const more = { CONSUL_BACKEND: 'catalog', ...names }
    const program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes, more))
    await untilReady(program)
    return program
  }

  it('have one leader; frozen past its lease and thawed, it writes nothing', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    const annotations = marked({ port: '9090' })
    for (const index of [0, 1, 2])
      kubernetes.addPod({ name: `web-${index}`, ip: `10.0.0.${index}`, annotations })
    await using first = await start(consul, kubernetes)
    await waitFor('the first to lead', () => leading(first))
    await using second = await start(consul, kubernetes)
    const before = [
      'pod--default--web-0 10.0.0.0',
      'pod--default--web-1 10.0.0.1',
      'pod--default--web-2 10.0.0.2',
    ]
    await waitFor('the pods', async () => (await pods(consul)).join() === before.join())
    expect(await leading(second)).toBe(false)
    expect((await readyz(second)).notes['leader']).toMatch(/ leads$/)

    // Frozen with work on its hands: a change every few milliseconds.
    let turn = 0
    const churn = setInterval(() => {
      turn += 1
      kubernetes.updatePod('default', 'web-2', { ip: `10.0.1.${turn % 250}` })
    }, 3)
    await waitFor('changes to arrive', async () => (await pods(consul))[2]?.includes(' 10.0.1.'))
    const frozenAt = performance.now()
    first.process.kill('SIGSTOP')
    clearInterval(churn)
    kubernetes.updatePod('default', 'web-2', { ip: '10.0.0.2' })
    // The frozen one knows nothing of these.
    kubernetes.deletePod('default', 'web-0')
    kubernetes.addPod({ name: 'web-1', ip: '10.0.9.9', annotations })
    kubernetes.addPod({ name: 'web-3', ip: '10.0.0.3', annotations })
    await waitFor('the second to lead', () => leading(second), patient)
    // The lease lasts 15 s from its last renewal, which the second one sees at most 2 s late.
    expect(performance.now() - frozenAt).toBeLessThan(20_000)
    const after = [
      'pod--default--web-1 10.0.9.9',
      'pod--default--web-2 10.0.0.2',
      'pod--default--web-3 10.0.0.3',
    ]
    await waitFor('what changed', async () => (await pods(consul)).join() === after.join())

    const index = async () => {
      const answer = await fetch(`${consul.url}/v1/health/service/k8s-pods`)
      return answer.headers.get('x-consul-index')
    }
    const settled = await index()
    const writes = second.log.length
    first.process.kill('SIGCONT')
    await first.logged('not_leading')
    await waitFor('the thawed one to follow', async () =>
      (await readyz(first)).notes['leader']?.endsWith(' leads'),
    )
    expect(await leading(first)).toBe(false)
    expect(await leading(second)).toBe(true)
    expect(second.log.slice(writes).map(({ event }) => event)).not.toContain('not_leading')
    expect(await pods(consul)).toEqual(after)
    expect(await index()).toBe(settled)
  })

  it('change at once when the leader stops, and neither removes anything while the API server is away', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ name: 'web-0', ip: '10.0.0.1', annotations: marked({ port: '9090' }) })
    await using first = await start(consul, kubernetes)
    await waitFor('the first to lead', () => leading(first))
    await using second = await start(consul, kubernetes)
    const registered = ['pod--default--web-0 10.0.0.1']
    await waitFor('the pod', async () => (await pods(consul)).join() === registered.join())

    await kubernetes.leave()
    const awayAt = performance.now()
    await waitFor('the leader to stop', async () => !(await leading(first)), patient)
    expect(performance.now() - awayAt).toBeLessThan(13_000)
    expect(await pods(consul)).toEqual(registered)
    await kubernetes.arrive()
    const leader = await waitFor(
      'a leader',
      async () => ((await leading(first)) ? first : (await leading(second)) ? second : undefined),
      patient,
    )
    const follower = leader === first ? second : first
    await leader[Symbol.asyncDispose]()
    const stoppedAt = performance.now()
    await waitFor('the other one', () => leading(follower))
    expect(performance.now() - stoppedAt).toBeLessThan(8_000)
    expect(await pods(consul)).toEqual(registered)
  })
})
