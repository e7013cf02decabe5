import { expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { ConsulHttp } from '../../../src/registrar/consul/http.ts'
import { CatalogRegistry } from '../../../src/registrar/consul/catalog.ts'
import type { Operation, OperationResult } from '../../../src/registrar/consul/registry.ts'
import { RequestRecorder } from '../../support/request-recorder.ts'
import { describeWith } from '../../setup/needs.ts'
import { service } from '../../support/records.ts'
import {
  catalogBackend,
  catalogServices,
  marked,
  registrarSettings,
  untilReady,
} from '../../support/registrar.ts'

const never = new AbortController().signal
const registry = (consul: Consul) =>
  new CatalogRegistry(
    new ConsulHttp({
      url: new URL(consul.url),
      token: () => Promise.resolve(undefined),
      tls: { rejectUnauthorized: true },
    }),
    { clusterName: 'c1', self: { address: '127.0.0.1', port: 1 } },
  )
const register = (id: string, changes = {}): Operation => ({
  type: 'register',
  service: service(id, changes),
})
const index = async (consul: Consul, path: string) => {
  const response = await fetch(consul.url + path)
  await response.arrayBuffer()
  return Number(response.headers.get('x-consul-index'))
}

async function applied(catalog: CatalogRegistry, operations: Operation[]): Promise<OperationResult[]> {
  const results: OperationResult[] = []
  await catalog.apply(operations, (result) => results.push(result), never)
  return results
}

describeWith(['consul'], 'the catalog backend', () => {
  it('writes more than a transaction holds, learning its size, and reads it back', async () => {
    await using consul = await Consul.start()
    await using catalog = registry(consul)
    const operations = Array.from({ length: 500 }, (_, number) => register(`pod--default--web-${number}`))
    const results = await applied(catalog, operations)
    expect(results.filter(({ ok }) => ok)).toHaveLength(500)
    const read = new Map<string, unknown>()
    await catalog.read(({ node, ...one }) => read.set(one.id, { node, one }), never)
    expect(read.size).toBe(500)
    expect(read.get('pod--default--web-7')).toEqual({ node: 'k8s-c1', one: service('pod--default--web-7') })
  })

  it('keeps out what another registrar sends after ours has taken over, also when half of it had arrived before', async () => {
    await using consul = await Consul.start()
    await using earlier = registry(consul)
    await using later = registry(consul)
    const beat = (catalog: CatalogRegistry, lastSyncMs: number) =>
      catalog.beat({ clusterName: 'c1', clusterId: 'x', lastSyncMs }, never)
    await beat(earlier, 1_000)
    expect(await applied(earlier, [register('pod--default--a')])).toMatchObject([{ ok: true }])
    await beat(later, 2_000)
    const settled = await index(consul, '/v1/catalog/node/k8s-c1')
    const late: Operation[] = [
      register('pod--default--b'),
      { type: 'deregister', service: service('pod--default--a') },
    ]
    for (const result of await applied(earlier, late))
      expect(result).toMatchObject({
        ok: false,
        refused: false,
        error: expect.stringContaining('stale') as string,
      })
    expect(await index(consul, '/v1/catalog/node/k8s-c1')).toBe(settled)

    // Ours go through, as many as there are, and the heartbeat in front of them wakes nobody.
    const heartbeat = '/v1/health/service/podsonar-registrar'
    const beaten = await index(consul, heartbeat)
    const many = Array.from({ length: 300 }, (_, number) => register(`pod--default--web-${number}`))
    expect((await applied(later, many)).filter(({ ok }) => ok)).toHaveLength(300)
    expect(await index(consul, heartbeat)).toBe(beaten)
    // One bad service among them is found all the same.
    const mixed = await applied(later, [
      register('pod--x--1'),
      register('pod--x--2', { name: '' }),
      register('pod--x--3'),
    ])
    expect(mixed.filter(({ ok }) => !ok).map(({ operation }) => operation.service.id)).toEqual(['pod--x--2'])
    // The earlier one may take over again.
    await beat(earlier, 3_000)
    expect(await applied(earlier, late)).toMatchObject([{ ok: true }, { ok: true }])
  })

  it('lets no bad service hold up the others, whether it or Consul finds it', async () => {
    await using consul = await Consul.start()
    await using catalog = registry(consul)
    const results = await applied(catalog, [
      ...Array.from({ length: 60 }, (_, number) => register(`pod--a--${number}`)),
      register('pod--a--meta', { meta: { 'bad key': 'x' } }),
      register('pod--a--port', { port: 70_000 }),
      register('pod--a--name', { name: '' }),
      // Too large for one request, however it is cut, though each pair is within the limits.
      ...Array.from({ length: 30 }, (_, number) =>
        register(`pod--b--${number}`, {
          meta: Object.fromEntries(Array.from({ length: 60 }, (_x, key) => [`k${key}`, 'v'.repeat(500)])),
        }),
      ),
    ])
    const failed = results.filter((result) => !result.ok)
    expect(failed.map(({ operation }) => operation.service.id).sort()).toEqual([
      'pod--a--meta',
      'pod--a--name',
      'pod--a--port',
    ])
    expect(failed.map((result) => 'refused' in result && result.refused)).toEqual([true, true, true])
    expect((await catalogServices(consul)).size).toBe(90)
  })

  it('sends again without what a refused transaction names', async () => {
    await using consul = await Consul.start()
    await using catalog = registry(consul)
    const nameless: Operation = { type: 'deregister', service: { id: 'pod--a--x', name: '' } }
    const results = await applied(catalog, [register('pod--a--1'), nameless, register('pod--a--2')])
    expect(results.find(({ operation }) => operation === nameless)).toMatchObject({
      ok: false,
      refused: true,
      error: 'Must provide service name with ID',
    })
    expect([...(await catalogServices(consul)).keys()].sort()).toEqual(['pod--a--1', 'pod--a--2'])
  })

  it('wakes those who wait for a service that is renamed', async () => {
    await using consul = await Consul.start()
    await using catalog = registry(consul)
    const previous = service('pod--a--1', { name: 'old' })
    await applied(catalog, [{ type: 'register', service: previous }])
    const before = await index(consul, '/v1/health/service/old')
    const waiting = fetch(`${consul.url}/v1/health/service/old?index=${before}&wait=60s`)
    await applied(catalog, [{ type: 'update', service: service('pod--a--1', { name: 'new' }), previous }])
    expect(await (await waiting).json()).toEqual([])
    expect((await catalogServices(consul)).get('pod--a--1')?.Service).toBe('new')
  }, 30_000)

  it('never rewrites its node, so that a heartbeat or a change wakes nobody else', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    kubernetes.addPod({ name: 'web-0', annotations: marked({ port: '1' }) })
    kubernetes.addPod({ name: 'web-1', annotations: marked({ port: '1' }) })
    const settings = await registrarSettings(consul, kubernetes, { ...catalogBackend, SYNC_PERIOD: '1' })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    const heartbeat = async () =>
      (
        await consul.get<{ ServiceMeta: Record<string, string> }[]>('/v1/catalog/service/podsonar-registrar')
      )[0]?.ServiceMeta['last_sync']
    const [before, beat] = [await index(consul, '/v1/health/service/pod--default--web-0'), await heartbeat()]
    expect(beat).toBeDefined()
    kubernetes.updatePod('default', 'web-1', { ip: '10.1.1.1' })
    await waitFor('another heartbeat', async () => (await heartbeat()) !== beat)
    await waitFor(
      'the change',
      async () => (await catalogServices(consul)).get('pod--default--web-1')?.Address === '10.1.1.1',
    )
    expect(await index(consul, '/v1/health/service/pod--default--web-0')).toBe(before)
    const { Node: node } = await consul.get<{
      Node: { Meta: unknown; CreateIndex: number; ModifyIndex: number }
    }>('/v1/catalog/node/k8s-c1')
    expect(node.Meta).toEqual({ 'external-node': 'true', cluster_name: 'c1' })
    expect(node.ModifyIndex).toBe(node.CreateIndex)
  })

  it('creates its node anew when somebody removed it, within 15 s', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1' })
    kubernetes.addPod({ name: 'web-0', annotations: marked({ port: '1' }) })
    await using program = await Program.start(
      ['registrar'],
      await registrarSettings(consul, kubernetes, catalogBackend),
    )
    await untilReady(program)
    await consul.put('/v1/catalog/deregister', { Node: 'k8s-c1' })
    await waitFor('both', async () => (await catalogServices(consul)).size === 2, { timeoutMs: 15_000 })
  })

  it('will not use a node of that name that is not its own', async () => {
    await using consul = await Consul.start()
    await consul.put('/v1/catalog/register', { Node: 'k8s-c1', Address: '192.0.2.9' })
    await using catalog = registry(consul)
    const [result] = await applied(catalog, [register('pod--a--1')])
    expect(result).toMatchObject({ ok: false, refused: false })
    expect(JSON.stringify(result)).toContain('so it is not ours')
  })

  it('reads Consul once in a full reconciliation, and writes nothing where all is equal', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
    for (let index = 0; index < 300; index += 1)
      kubernetes.addPod({ name: `web-${index}`, annotations: marked({ port: '9090' }) })
    await using recorder = await RequestRecorder.start(consul.url)
    const more = { ...catalogBackend, SYNC_PERIOD: '2' }
    const settings = await registrarSettings({ url: recorder.url }, kubernetes, more)
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    const syncs = () => program.log.filter(({ event }) => event === 'synced').length
    const settled = syncs()
    await waitFor('one more full reconciliation', () => syncs() > settled)
    recorder.requests.length = 0
    const before = syncs()
    await waitFor('three more', () => syncs() >= before + 3)
    const requests = [...recorder.requests]
    const wholeReads = requests.filter(
      ({ method, url }) => method === 'GET' && url === '/v1/catalog/node/k8s-c1',
    )
    // The last one may have begun after the log was read, or the first before.
    expect(Math.abs(wholeReads.length - (syncs() - before))).toBeLessThanOrEqual(1)
    const bodies = requests.filter(({ method }) => method === 'PUT').map(({ body }) => body)
    expect(bodies.filter((body) => /"(pod|node)--/.test(body))).toEqual([])
    expect(bodies.every((body) => body.includes('podsonar-registrar--c1'))).toBe(true)
    // No service is read by itself.
    expect(requests.filter(({ url }) => /pod--|node--|k8s-pods/.test(url))).toEqual([])
  })
})
