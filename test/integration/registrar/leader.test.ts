import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { marked, metric, readyz, registrarSettings } from '../../support/registrar.ts'

const patient = { timeoutMs: 60_000 }
/** Enough for a plan that takes a while. */
const many = 3_000

interface Instance {
  readonly ServiceID: string
  readonly ServiceAddress: string
}

/** `id address` of the pods in the catalog. */
async function pods(consul: Consul): Promise<string[]> {
  const instances = await consul.get<Instance[]>('/v1/catalog/service/k8s-pods')
  return instances.map(({ ServiceID, ServiceAddress }) => `${ServiceID} ${ServiceAddress}`).sort()
}

/** Changes with every write to one of the pods. */
async function consulIndex(consul: Consul): Promise<string | null> {
  const answer = await fetch(`${consul.url}/v1/health/service/k8s-pods`)
  return answer.headers.get('x-consul-index')
}

const leading = async (program: Program) => (await metric(program, 'podsonar_registrar_leader')) === 1

describeWith(['consul'], 'two replicas of the registrar', () => {
  const start = async (
    consul: Consul,
    kubernetes: SimulatedKubernetes,
    extra: Record<string, string> = {},
  ) => {
    const names = { POD_SERVICE_NAME: 'k8s-pods', NODE_SERVICE_NAME: 'k8s-nodes' }
    const more = { CONSUL_BACKEND: 'catalog', ...names, ...extra }
    const program = await Program.start(['registrar'], await registrarSettings(consul, kubernetes, more))
    await waitFor('it to be ready', async () => (await readyz(program)).ready, patient)
    return program
  }

  it('have one leader; frozen past its lease and thawed, it writes nothing', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    const annotations = marked({ port: '9090' })
    for (let index = 0; index < many; index += 1)
      kubernetes.addPod({ name: `web-${index}`, ip: `10.0.${index >> 8}.${index & 255}`, annotations })
    await using first = await start(consul, kubernetes)
    await waitFor('the first to lead', () => leading(first))
    await using second = await start(consul, kubernetes)
    await waitFor('the pods', async () => (await pods(consul)).length === many, patient)
    expect(await leading(second)).toBe(false)
    expect((await readyz(second)).notes['leader']).toMatch(/ leads$/)

    // Frozen in the middle of a plan, with answers of Consul on their way: the first thing that it does when it is thawed is to
    // send what comes next, long before any of its timers says that the lease is over.
    const moved = (subnet: number) => {
      for (let index = 1; index < many; index += 1)
        kubernetes.updatePod('default', `web-${index}`, { ip: `10.${subnet}.${index >> 8}.${index & 255}` })
    }
    const at = (found: readonly string[], subnet: number) =>
      found.filter((pod) => pod.includes(` 10.${subnet}.`)).length
    /** Whether the leader was frozen before all of the plan was written. */
    const frozenWhileMoving = async (subnet: number): Promise<boolean> => {
      const begun = (await consulIndex(consul)) ?? ''
      moved(subnet)
      // Its head comes with the first write.
      const head = await fetch(`${consul.url}/v1/health/service/k8s-pods?index=${begun}&wait=60s`)
      first.process.kill('SIGSTOP')
      await head.body?.cancel()
      return at(await pods(consul), subnet) < many - 1
    }
    let subnet = 3
    // A busy machine may be too late.
    while (!(await frozenWhileMoving(subnet))) {
      first.process.kill('SIGCONT')
      subnet += 1
      expect(subnet).toBeLessThan(10)
    }
    const frozenAt = performance.now()
    // The frozen one knows nothing of these.
    moved(2)
    kubernetes.deletePod('default', 'web-0')
    kubernetes.addPod({ name: 'late', ip: '10.2.255.255', annotations })
    await waitFor('the second to lead', () => leading(second), patient)
    // The lease lasts 15 s from its last renewal, which the second one sees at most 2 s late, and a busy machine later.
    expect(performance.now() - frozenAt).toBeLessThan(30_000)
    const after = kubernetes.pods.map(({ name, ip = '' }) => `pod--default--${name} ${ip}`).sort()
    await waitFor('what changed', async () => (await pods(consul)).join() === after.join(), patient)

    const settled = await consulIndex(consul)
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
    expect(await consulIndex(consul)).toBe(settled)
  })

  it('frozen between deciding on a write and sending it, the leader does not send it when it is thawed', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    await using folder = await TemporaryFolder.create('freeze')
    const annotations = marked({ port: '9090' })
    kubernetes.addPod({ name: 'web-0', ip: '10.0.0.1', annotations })
    const order = join(folder.path, 'freeze')
    await using first = await start(consul, kubernetes, {
      NODE_OPTIONS: `--import=${fileURLToPath(new URL('../../support/freeze-before-write.ts', import.meta.url))}`,
      FREEZE_WHILE_EXISTS: order,
    })
    await waitFor('the first to lead', () => leading(first))
    await using second = await start(consul, kubernetes)
    const stands = (ip: string) =>
      waitFor('the address', async () => (await pods(consul)).join() === `pod--default--web-0 ${ip}`, patient)
    await stands('10.0.0.1')

    await writeFile(order, '')
    kubernetes.updatePod('default', 'web-0', { ip: '10.0.0.2' })
    await waitFor('the first to be about to write', () => existsSync(`${order}.met`), patient)
    await waitFor('the second to lead', () => leading(second), patient)
    await stands('10.0.0.2')
    kubernetes.updatePod('default', 'web-0', { ip: '10.0.0.3' })
    await stands('10.0.0.3')
    const settled = await consulIndex(consul)
    await rm(order)
    await first.logged('not_leading')
    await waitFor('the first to answer', async () => !(await leading(first)))
    expect(await pods(consul)).toEqual(['pod--default--web-0 10.0.0.3'])
    expect(await consulIndex(consul)).toBe(settled)
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
    // Before the lease ends.
    expect(performance.now() - awayAt).toBeLessThan(15_000)
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
    // It was given back: nobody waited for its end.
    expect(performance.now() - stoppedAt).toBeLessThan(14_000)
    expect(await pods(consul)).toEqual(registered)
  })
})
