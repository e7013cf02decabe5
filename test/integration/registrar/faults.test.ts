import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { foundIds, idsOf, PresenceWatch } from '../../support/presence.ts'
import {
  agentServices,
  catalogBackend,
  catalogServices,
  marked,
  metric,
  readyz,
  registrarSettings,
  untilReady,
} from '../../support/registrar.ts'

const annotations = marked({ port: '9090' })
const slow = { timeoutMs: 60_000 }

async function cluster(pods: number): Promise<SimulatedKubernetes> {
  const kubernetes = await SimulatedKubernetes.start()
  kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
  for (let index = 0; index < pods; index += 1) kubernetes.addPod({ name: `web-${index}`, annotations })
  return kubernetes
}

const expected = (kubernetes: SimulatedKubernetes) => idsOf(kubernetes.pods, kubernetes.nodes)

function untilEqual(
  consul: Consul,
  kubernetes: SimulatedKubernetes,
  read = catalogServices,
): Promise<boolean> {
  return waitFor(
    'Consul to equal the cluster',
    async () => {
      expect(await foundIds(read, consul)).toEqual(expected(kubernetes))
      return true
    },
    slow,
  )
}

describeWith(['consul'], 'nothing is lost and nothing wrongly removed when Consul', () => {
  it('is gone for a minute in the middle of a plan', async () => {
    await using consul = await Consul.start({ persistent: true })
    await using kubernetes = await cluster(1_500)
    const settings = await registrarSettings(consul, kubernetes, catalogBackend)
    await using program = await Program.start(['registrar'], settings)
    await waitFor('a part of it', async () => (await catalogServices(consul)).size > 100, { everyMs: 5 })
    const goneAt = performance.now()
    await consul.kill()
    await waitFor('the registrar to notice', async () => (await readyz(program)).reasons['consul'], slow)
    kubernetes.deletePod('default', 'web-0')
    kubernetes.addPod({ name: 'late', annotations })
    await waitFor('a minute', () => performance.now() - goneAt > 60_000, { timeoutMs: 70_000, everyMs: 500 })
    // It kept asking, but not in a hot loop: the delay grows to 15 s.
    const failures = program.log.filter(({ event }) => event === 'sync_failed').length
    expect(failures).toBeLessThan(20)
    await consul.restart()
    await untilEqual(consul, kubernetes)
    await untilReady(program)
  }, 180_000)

  it.each([
    ['agent', {}, agentServices],
    ['catalog', catalogBackend, catalogServices],
  ])('is restarted empty (%s)', async (_kind, backend, read) => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(100)
    await using program = await Program.start(
      ['registrar'],
      await registrarSettings(consul, kubernetes, backend),
    )
    await untilReady(program)
    await consul.kill()
    await consul.restart()
    await untilEqual(consul, kubernetes, read)
  })

  it('is there all the time and the registrar is killed at every stage', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(600)
    const settings = await registrarSettings(consul, kubernetes, catalogBackend)
    const size = async () => (await catalogServices(consul)).size
    for (const stage of [1, 200, 400]) {
      await using program = await Program.start(['registrar'], settings)
      await waitFor(`${stage} services`, async () => (await size()) >= stage, { everyMs: 2, ...slow })
      program.process.kill('SIGKILL')
      await program.process.exited
    }
    await using program = await Program.start(['registrar'], settings)
    await untilEqual(consul, kubernetes)
    await untilReady(program)

    // And in the middle of removals, which leave those alone that stay.
    program.process.kill('SIGKILL')
    await program.process.exited
    const leaving = kubernetes.pods.slice(0, 280)
    for (const { namespace, name } of leaving) kubernetes.deletePod(namespace, name)
    await using staying = new PresenceWatch(expected(kubernetes), () => catalogServices(consul))
    await using again = await Program.start(['registrar'], settings)
    await waitFor('a removal', async () => (await size()) < 601, { everyMs: 2, ...slow })
    again.process.kill('SIGKILL')
    await again.process.exited
    await using last = await Program.start(['registrar'], settings)
    await untilEqual(consul, kubernetes)
    await untilReady(last)
    expect(staying.looks).toBeGreaterThan(3)
    expect([...staying.missing]).toEqual([])
  })
})

describeWith(['consul'], 'nothing is wrongly removed when the API server', () => {
  const forever = { times: Number.POSITIVE_INFINITY }
  const faults: [string, (kubernetes: SimulatedKubernetes) => void | Promise<void>][] = [
    [
      'lists only a part of the pods',
      (kubernetes) => {
        kubernetes.shortenLists(5)
      },
    ],
    [
      'lists nothing at all',
      (kubernetes) => {
        kubernetes.shortenLists(0)
      },
    ],
    [
      'forbids everything',
      (kubernetes) => {
        kubernetes.faults.arm({ kind: 'status', status: 403 }, forever)
      },
    ],
    [
      'answers 500',
      (kubernetes) => {
        kubernetes.faults.arm({ kind: 'status', status: 500 }, forever)
      },
    ],
    [
      'asks to come back later',
      (kubernetes) => {
        kubernetes.faults.arm({ kind: 'status', status: 429, retryAfterSeconds: 1 }, forever)
      },
    ],
    [
      'resets lists in the middle',
      (kubernetes) => {
        kubernetes.faults.arm({ kind: 'cut' }, { verb: 'list', ...forever })
      },
    ],
    [
      'forgets its history',
      (kubernetes) => {
        kubernetes.compact()
      },
    ],
    ['is gone', (kubernetes) => kubernetes.leave()],
  ]
  it(
    faults.map(([name]) => name).join(', '),
    async () => {
      await using consul = await Consul.start()
      await using kubernetes = await cluster(30)
      const settings = await registrarSettings(consul, kubernetes, { ...catalogBackend, SYNC_PERIOD: '1' })
      await using program = await Program.start(['registrar'], settings)
      await untilReady(program)
      await using presence = new PresenceWatch(expected(kubernetes), () => catalogServices(consul))
      const syncs = () => program.log.filter(({ event }) => event === 'synced').length
      for (const [name, arm] of faults) {
        await arm(kubernetes)
        kubernetes.closeWatches()
        const before = syncs()
        await waitFor(`three full reconciliations while it ${name}`, () => syncs() >= before + 3, slow)
        expect([...presence.missing], name).toEqual([])

        kubernetes.faults.clear()
        kubernetes.shortenLists(undefined)
        await kubernetes.leave()
        await kubernetes.arrive()
        kubernetes.addPod({ name: `after-${faults.findIndex(([other]) => other === name)}`, annotations })
        await untilEqual(consul, kubernetes)
      }
      kubernetes.deletePod('default', 'web-7')
      await untilEqual(consul, kubernetes)
      expect([...presence.missing].filter((id) => id !== 'pod--default--web-7')).toEqual([])
    },
    240_000,
  )

  it('takes all pods their addresses at once, the removals are held until they are back', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(30)
    const settings = await registrarSettings(consul, kubernetes, { ...catalogBackend, SYNC_PERIOD: '1' })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    await using presence = new PresenceWatch(expected(kubernetes), () => catalogServices(consul))
    const before = kubernetes.pods
    // Told together, as when a node that carried them all comes back.
    program.process.kill('SIGSTOP')
    for (const { namespace, name } of before) kubernetes.updatePod(namespace, name, { ip: undefined })
    program.process.kill('SIGCONT')
    const held = () => metric(program, 'podsonar_registrar_held_removals{kind="pod"}')
    await waitFor('the removals to be held', async () => (await held()) === 30)
    const syncs = () => program.log.filter(({ event }) => event === 'synced').length
    const count = syncs()
    await waitFor('two more full reconciliations', () => syncs() >= count + 2)
    for (const { namespace, name, ip } of before) kubernetes.updatePod(namespace, name, { ip })
    await waitFor('nothing to be held', async () => (await held()) === 0)
    expect([...presence.missing]).toEqual([])
  })

  it('tells of a mass removal: it is held, and said in metrics and at /readyz', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await cluster(30)
    const settings = await registrarSettings(consul, kubernetes, catalogBackend)
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    program.process.kill('SIGKILL')
    await program.process.exited
    for (const { namespace, name } of kubernetes.pods.slice(0, 20)) kubernetes.deletePod(namespace, name)
    kubernetes.addPod({ name: 'late', annotations })
    await using again = await Program.start(['registrar'], settings)
    await untilReady(again)
    expect((await catalogServices(consul)).size).toBe(32)
    expect(await metric(again, 'podsonar_registrar_held_removals{kind="pod"}')).toBe(20)
    const { ready, notes } = await readyz(again)
    expect(ready).toBe(true)
    expect(notes['held removals']).toContain('20 removals of pods: 20 of 3')
  })
})

describeWith(['consul'], 'two clusters with one Consul', () => {
  it('do not touch each other, whatever their pods are called', async () => {
    await using consul = await Consul.start()
    await using one = await cluster(20)
    await using two = await cluster(15)
    const settingsOf = (kubernetes: SimulatedKubernetes, name: string) =>
      registrarSettings(consul, kubernetes, { ...catalogBackend, CLUSTER_NAME: name, SYNC_PERIOD: '1' })
    await using first = await Program.start(['registrar'], await settingsOf(one, 'c1'))
    await using second = await Program.start(['registrar'], await settingsOf(two, 'c2'))
    await untilReady(first)
    await untilReady(second)
    one.deletePod('default', 'web-3')
    await untilEqual(consul, one)
    await untilEqual(consul, two, (from) => catalogServices(from, 'c2'))
  })

  it('of the same name: the second writes nothing, says so, and the first loses nothing', async () => {
    await using consul = await Consul.start()
    await using one = await cluster(20)
    await using two = await cluster(5)
    two.addPod({ name: 'other', annotations })
    const settings = { ...catalogBackend, SYNC_PERIOD: '1' }
    await using first = await Program.start(['registrar'], await registrarSettings(consul, one, settings))
    await untilReady(first)
    await using presence = new PresenceWatch(expected(one), () => catalogServices(consul))
    await using second = await Program.start(['registrar'], await registrarSettings(consul, two, settings))
    const reason = await waitFor(
      'the second to say so',
      async () => (await readyz(second)).reasons['cluster name'],
    )
    expect(reason).toContain('expected a CLUSTER_NAME that no other cluster has')
    const synced = () => first.log.filter(({ event }) => event === 'synced').length
    const before = synced()
    await waitFor('some time', () => synced() >= before + 4, slow)
    expect([...presence.missing]).toEqual([])
    expect(await foundIds(catalogServices, consul)).toEqual(expected(one))
    expect((await readyz(first)).ready).toBe(true)
  })
})

describeWith(['consul'], 'objects that the seed program got wrong', () => {
  it('a namespace with two dashes, an address that changes or is used again, a long label', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    kubernetes.addPod({ namespace: 'a--b', name: 'c', ip: '10.0.0.1', annotations })
    kubernetes.addPod({ namespace: 'a', name: 'b--c', ip: '10.0.0.2', annotations })
    kubernetes.addPod({ name: 'db-0', ip: '10.0.0.3', annotations })
    kubernetes.addPod({ name: 'job', ip: '10.0.0.4', phase: 'Succeeded', annotations })
    kubernetes.addPod({ name: 'heir', ip: '10.0.0.4', annotations })
    kubernetes.addPod({ name: 'long', labels: { note: 'x'.repeat(600) }, annotations })
    const more = { ...catalogBackend, SYNC_PERIOD: '1', POD_LABELS: '*' }
    await using program = await Program.start(
      ['registrar'],
      await registrarSettings(consul, kubernetes, more),
    )
    await untilReady(program)
    const services = () => catalogServices(consul)
    const before = await services()
    expect([...before.keys()].sort()).toEqual([
      'node--192.168.0.1',
      'pod--a--b--c',
      'pod--default--db-0',
      'pod--default--heir',
      'pod--default--long',
    ])
    // Both pods of that ID exist: it stays with the one of them that was chosen.
    const { namespace } = before.get('pod--a--b--c')?.Meta ?? {}
    expect(await metric(program, 'podsonar_registrar_skipped_objects{reason="id_conflict"}')).toBe(1)
    expect(before.get('pod--default--long')?.Meta).not.toHaveProperty('label_note')

    kubernetes.deletePod('default', 'db-0')
    kubernetes.addPod({ name: 'db-0', ip: '10.0.0.33', annotations })
    await waitFor('the new address', async () => {
      const address = (await services()).get('pod--default--db-0')?.Address
      return address === '10.0.0.33'
    })
    const syncs = () => program.log.filter(({ event }) => event === 'synced').length
    const count = syncs()
    await waitFor('two more', () => syncs() >= count + 2)
    expect((await services()).get('pod--a--b--c')?.Meta['namespace']).toBe(namespace)
    kubernetes.deletePod(namespace ?? '', namespace === 'a' ? 'b--c' : 'c')
    await waitFor('the other to have the ID', async () => {
      const now = (await services()).get('pod--a--b--c')?.Meta['namespace']
      return now !== undefined && now !== namespace
    })
  })

  it.each([
    ['agent', {}],
    ['catalog', catalogBackend],
  ])(
    'a cluster that was renamed: its old set is reported, and removed only by purge (%s)',
    async (_kind, backend) => {
      await using consul = await Consul.start()
      await using kubernetes = await cluster(3)
      const old = await registrarSettings(consul, kubernetes, backend)
      {
        await using program = await Program.start(['registrar'], old)
        await untilReady(program)
        program.process.kill('SIGTERM')
        await program.process.exited
      }
      kubernetes.addPod({ name: 'new', annotations })
      const settings = { ...old, CLUSTER_NAME: 'c9', SYNC_PERIOD: '1' }
      await using program = await Program.start(['registrar'], settings)
      await program.logged('abandoned_clusters', ({ clusters }) => clusters === 'c1')
      expect((await readyz(program)).notes['abandoned clusters']).toContain('c1')
      const count = async () => (await agentServices(consul)).size + (await catalogServices(consul)).size
      expect(await count()).toBeGreaterThanOrEqual(4)
      await using purge = await Program.start(['purge'], old)
      expect(await purge.process.exited).toEqual({ code: 0, signal: null })
      await waitFor('all under the new name', async () => {
        const now =
          backend === catalogBackend ? await catalogServices(consul, 'c9') : await agentServices(consul)
        return now.size === 5 && [...now.values()].every(({ Meta }) => Meta['cluster_name'] === 'c9')
      })
    },
  )
})
