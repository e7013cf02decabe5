import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { FakeClock } from '../../../lab/fake-clock.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { foundIds, idsOf, PresenceWatch } from '../../support/presence.ts'
import {
  catalogBackend,
  catalogServices,
  marked,
  metric,
  readyz,
  registrarSettings,
  untilReady,
  type ConsulService,
} from '../../support/registrar.ts'

const annotations = marked({ port: '9090' })
const patient = { timeoutMs: 60_000 }
const day = 86_400
const held = 'podsonar_registrar_held_removals{kind="pod"}'

/** Over plain HTTP: certificates have their own idea of the time. */
async function cluster(pods: number): Promise<SimulatedKubernetes> {
  const kubernetes = await SimulatedKubernetes.start({ tls: false })
  kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
  for (let index = 0; index < pods; index += 1) kubernetes.addPod({ name: `web-${index}`, annotations })
  return kubernetes
}

const untilEqual = (consul: Consul, kubernetes: SimulatedKubernetes) =>
  waitFor(
    'Consul to equal the cluster',
    async () => {
      expect(await foundIds(catalogServices, consul)).toEqual(idsOf(kubernetes.pods, kubernetes.nodes))
      return true
    },
    patient,
  )

const addressOf = (services: ReadonlyMap<string, ConsulService>, pod: string) =>
  services.get(`pod--default--${pod}`)?.Address

/** A registrar that starts when most of what Consul has is gone from the cluster: it holds the removals. */
async function holding(
  consul: Consul,
  kubernetes: SimulatedKubernetes,
  env: Readonly<Record<string, string>>,
): Promise<Program> {
  const settings = await registrarSettings(consul, kubernetes, { ...catalogBackend, SYNC_PERIOD: '1' })
  {
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    program.process.kill('SIGKILL')
    await program.process.exited
  }
  for (const { namespace, name } of kubernetes.pods.slice(0, 20)) kubernetes.deletePod(namespace, name)
  const program = await Program.start(['registrar'], { ...settings, ...env })
  await untilReady(program)
  expect(await metric(program, held)).toBe(20)
  return program
}

describeWith(['consul', 'faketime'], 'when the clock is set', () => {
  it('back or forward by days, the leader goes on, and nothing is lost', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(20)
    await using clock = await FakeClock.create('wall')
    const more = { CONSUL_BACKEND: 'catalog', SYNC_PERIOD: '1', ...clock.env }
    await using program = await Program.start(
      ['registrar'],
      await registrarSettings(consul, kubernetes, more),
    )
    await untilReady(program)
    await untilEqual(consul, kubernetes)
    await using presence = new PresenceWatch(idsOf(kubernetes.pods, kubernetes.nodes), () =>
      catalogServices(consul),
    )
    const lastSync = async () => {
      const beats = await consul.get<{ ServiceMeta: { last_sync: string } }[]>(
        '/v1/catalog/service/podsonar-registrar',
      )
      return Date.parse(beats[0]?.ServiceMeta.last_sync ?? '')
    }
    for (const days of [-2, 3, 0]) {
      await clock.set(days * day)
      kubernetes.addPod({ name: `after-${days}`, annotations })
      await untilEqual(consul, kubernetes)
      await waitFor(
        'a heartbeat of the new time',
        async () => Math.abs((await lastSync()) - Date.now() - days * day * 1_000) < 60_000,
        patient,
      )
      await waitFor(
        'it to lead',
        async () => (await metric(program, 'podsonar_registrar_leader')) === 1,
        patient,
      )
      await waitFor('it to be content', async () => (await readyz(program)).ready, patient)
    }
    expect(presence.looks).toBeGreaterThan(10)
    expect([...presence.missing]).toEqual([])
  })

  it('forward, held removals are not released: only time that really passed counts', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(30)
    await using clock = await FakeClock.create('wall')
    await using program = await holding(consul, kubernetes, clock.env)
    await clock.set(day)
    const syncs = () => program.log.filter(({ event }) => event === 'synced').length
    const before = syncs()
    await waitFor('three more full reconciliations', () => syncs() >= before + 3, patient)
    expect(await metric(program, held)).toBe(20)
    expect((await catalogServices(consul)).size).toBe(31)
  })
})

describeWith(['consul', 'faketime'], 'removals that are held', () => {
  it('go when a list that was read five minutes later agrees, and not before', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(30)
    await using clock = await FakeClock.create('all')
    await using program = await holding(consul, kubernetes, clock.env)
    const syncs = () => program.log.filter(({ event }) => event === 'synced').length
    const before = syncs()
    await clock.set(4 * 60)
    await waitFor('two more full reconciliations', () => syncs() >= before + 2, patient)
    expect((await catalogServices(consul)).size).toBe(31)

    await clock.set(5 * 60 + 5)
    await untilEqual(consul, kubernetes)
    await waitFor('it to say so', async () => (await metric(program, held)) === 0, patient)
    expect(program.log.some(({ event }) => event === 'removals_released')).toBe(true)
  })
})

describeWith(['consul', 'faketime'], 'a pod that loses its address', () => {
  it('stays for 30 s, also through a restart; back with another address it is updated, and without one it goes', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(3)
    await using clock = await FakeClock.create('all')
    const settings = {
      ...(await registrarSettings(consul, kubernetes, { ...catalogBackend, SYNC_PERIOD: '1' })),
      ...clock.env,
    }
    const lose = (name: string) => kubernetes.updatePod('default', name, { ip: undefined })
    const isHeld = (program: Program, count: number) =>
      waitFor(`${count} to be held`, async () => (await metric(program, held)) === count, patient)
    await using presence = new PresenceWatch(['pod--default--web-0'], async () => {
      const found = await catalogServices(consul)
      // Until it was there for the first time.
      if (found.size === 0) throw new Error('nothing yet')
      return found
    })
    {
      await using program = await Program.start(['registrar'], settings)
      await untilReady(program)
      lose('web-0')
      await isHeld(program, 1)
      expect((await readyz(program)).notes['held removals']).toContain('without an address')
      kubernetes.updatePod('default', 'web-0', { ip: '10.9.0.1' })
      await waitFor(
        'the new address',
        async () => (await catalogServices(consul)).get('pod--default--web-0')?.Address === '10.9.0.1',
        patient,
      )
      await isHeld(program, 0)
      lose('web-0')
      await isHeld(program, 1)
      program.process.kill('SIGKILL')
      await program.process.exited
    }
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    await isHeld(program, 1)
    expect([...presence.missing]).toEqual([])

    // Its address is another's now: scraped there, it would be taken for this one.
    lose('web-1')
    await isHeld(program, 2)
    const { ip: taken } = kubernetes.addPod({
      name: 'heir',
      ip: addressOf(await catalogServices(consul), 'web-1'),
      annotations,
    })
    await waitFor('the heir', async () => addressOf(await catalogServices(consul), 'heir') === taken, patient)
    await waitFor(
      'web-1 to go',
      async () => !(await catalogServices(consul)).has('pod--default--web-1'),
      patient,
    )
    expect((await catalogServices(consul)).has('pod--default--web-0')).toBe(true)

    await clock.set(40)
    await waitFor(
      'web-0 to go',
      async () => !(await catalogServices(consul)).has('pod--default--web-0'),
      patient,
    )
    await isHeld(program, 0)
    expect(await foundIds(catalogServices, consul)).toEqual(
      idsOf(
        kubernetes.pods.filter(({ ip }) => ip !== undefined),
        kubernetes.nodes,
      ),
    )
  })

  it('is one of many: the guard holds them when the 30 s are over', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(30)
    await using clock = await FakeClock.create('all')
    const settings = await registrarSettings(consul, kubernetes, { ...catalogBackend, SYNC_PERIOD: '1' })
    await using program = await Program.start(['registrar'], { ...settings, ...clock.env })
    await untilReady(program)
    for (const { name } of kubernetes.pods) kubernetes.updatePod('default', name, { ip: undefined })
    await waitFor('all to be held', async () => (await metric(program, held)) === 30, patient)
    await clock.set(60)
    await waitFor(
      'the guard to hold them',
      async () =>
        (await readyz(program)).notes['held removals']?.includes('30 of 30 pods would be removed') ?? false,
      patient,
    )
    expect((await catalogServices(consul)).size).toBe(31)
  })
})
