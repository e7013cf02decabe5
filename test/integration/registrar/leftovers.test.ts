import { expect, it } from 'vitest'
import { demoPrometheusConfig } from '../../../demo/prometheus-config.ts'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import {
  agentServices,
  catalogBackend,
  catalogServices,
  instancesOf,
  marked,
  readyz,
  registrarSettings,
  untilReady,
} from '../../support/registrar.ts'

const grouped = { POD_SERVICE_NAME: 'k8s-pods', NODE_SERVICE_NAME: 'k8s-nodes' }

async function smallCluster(): Promise<SimulatedKubernetes> {
  const kubernetes = await SimulatedKubernetes.start()
  kubernetes.addNode({ name: 'node-1', internalIps: ['192.168.0.1'] })
  for (let index = 0; index < 12; index += 1)
    kubernetes.addPod({ name: `web-${index}`, annotations: marked({ port: '1' }) })
  return kubernetes
}

describeWith(['consul', 'prometheus'], 'an agent beside the registrar that is killed and replaced', () => {
  it('leaves no stale target in Prometheus, and every pod and node has one again', async () => {
    await using server = await Consul.start({ nodeName: 'server' })
    await using first = await Consul.start({ nodeName: 'agent-a', join: server })
    await using kubernetes = await smallCluster()
    const settings = await registrarSettings(first, kubernetes, { SYNC_PERIOD: '2', ...grouped })
    const old = await Program.start(['registrar'], settings)
    await using _ = old
    await untilReady(old)
    await using prometheus = await Prometheus.start(demoPrometheusConfig(server.url.slice('http://'.length)))
    const agree = () =>
      waitFor(
        'Prometheus to have each pod and node once, and nothing else',
        async () => {
          const found = (await prometheus.targets()).map(({ labels }) => labels['pod'] ?? labels['node'])
          const wanted = [...kubernetes.pods, ...kubernetes.nodes].map(({ name }) => name)
          expect(found.sort()).toEqual(wanted.sort())
          return true
        },
        { timeoutMs: 60_000 },
      )
    await agree()

    // The whole pod dies, registrar and agent; while none runs a pod goes and another gets a new address.
    old.process.kill('SIGKILL')
    await first.kill()
    kubernetes.deletePod('default', 'web-3')
    kubernetes.updatePod('default', 'web-4', { ip: '10.99.0.4' })
    const httpPort = Number(new URL(first.url).port)
    await using _second = await Consul.start({ nodeName: 'agent-b', join: server, httpPort })
    await using program = await Program.start(['registrar'], settings)
    await program.logged('leftovers_removed', ({ node }) => node === 'agent-a')
    await agree()
    const instances = (await prometheus.targets()).map(({ labels }) => labels['instance'])
    expect(instances).toContain('10.99.0.4:1')
  })
})

describeWith(['consul'], 'services of ours elsewhere in Consul', () => {
  it('an agent that was killed and replaced is refilled, and what it left behind is removed', async () => {
    await using server = await Consul.start({ nodeName: 'server' })
    await using first = await Consul.start({ nodeName: 'agent-a', join: server })
    await using kubernetes = await smallCluster()
    const settings = await registrarSettings(first, kubernetes, { SYNC_PERIOD: '2' })
    await using program = await Program.start(['registrar'], settings)
    await untilReady(program)
    await waitFor(
      'the catalog to have it',
      async () => (await instancesOf(server, 'pod--default--web-3')).length === 1,
    )

    await first.kill()
    const httpPort = Number(new URL(first.url).port)
    await using second = await Consul.start({ nodeName: 'agent-b', join: server, httpPort })
    await waitFor('the refill', async () => (await agentServices(second)).size === 13, { timeoutMs: 15_000 })
    await waitFor('the left ones to go', async () => {
      const instances = await instancesOf(server, 'pod--default--web-3')
      return instances.length === 1 && instances[0]?.Node === 'agent-b'
    })
    await program.logged('leftovers_removed', ({ node }) => node === 'agent-a')
    const left = await server.get<{ Services: object }>('/v1/catalog/node/agent-a')
    expect(left.Services).toEqual({})
  })

  it('those on a living agent are reported and left alone', async () => {
    await using server = await Consul.start({ nodeName: 'server' })
    await using other = await Consul.start({ nodeName: 'agent-a', join: server })
    await other.put('/v1/agent/service/register', {
      ID: 'pod--default--x',
      Name: 'pod--default--x',
      Meta: { cluster_name: 'c1' },
    })
    await waitFor(
      'the catalog to have it',
      async () => (await instancesOf(server, 'pod--default--x')).length === 1,
    )
    await using kubernetes = await smallCluster()
    await using program = await Program.start(['registrar'], await registrarSettings(server, kubernetes))
    await program.logged('leftovers_found', ({ nodes }) => nodes === '1 on agent-a')
    expect((await readyz(program)).notes['leftovers']).toContain('1 on agent-a')
    expect(await instancesOf(server, 'pod--default--x')).toHaveLength(1)
  })

  it('moving from the agent to the catalog and back leaves no double and no gap', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await smallCluster()
    const agent = await registrarSettings(consul, kubernetes)
    const catalog = { ...agent, ...catalogBackend }
    const name = 'pod--default--web-3'
    const gaps: number[] = []
    const watching = new AbortController()
    const watch = (async () => {
      while (!watching.signal.aborted) gaps.push((await instancesOf(consul, name)).length)
    })()
    const run = async (settings: Record<string, string>, settled: () => Promise<boolean>) => {
      await using program = await Program.start(['registrar'], settings)
      await untilReady(program)
      await waitFor('the move', settled)
    }
    const counts = async () =>
      [(await agentServices(consul)).size, (await catalogServices(consul)).size].join(' ')

    await run(agent, async () => (await counts()) === '13 0')
    await waitFor('the catalog to have it', async () => (await instancesOf(consul, name)).length === 1)
    gaps.length = 0
    await run(catalog, async () => (await counts()) === '0 13')
    await run(agent, async () => (await counts()) === '13 0')
    const nodes = await consul.get<{ Node: string }[]>('/v1/catalog/nodes')
    expect(nodes.map(({ Node }) => Node)).toEqual(['consul-1'])
    watching.abort()
    await watch
    expect(Math.min(...gaps)).toBe(1)
    expect(gaps.at(-1)).toBe(1)
  })
})

describeWith(['consul'], 'podsonar purge', () => {
  it.each([
    ['agent', {}],
    ['catalog', catalogBackend],
  ])(
    'removes all that is ours and nothing else, and not while a registrar is alive (%s)',
    async (_kind, backend) => {
      await using consul = await Consul.start()
      await using kubernetes = await smallCluster()
      const settings = await registrarSettings(consul, kubernetes, backend)
      for (const id of ['pod--a--b', 'redis'])
        await consul.put('/v1/agent/service/register', { ID: id, Name: id, Meta: { cluster_name: 'c2' } })
      const purge = async (more: Record<string, string> = {}) => {
        await using program = await Program.start(['purge'], { ...settings, ...more })
        const { code } = await program.process.exited
        return { code, stdout: program.process.stdout, stderr: program.process.stderr }
      }
      const count = async () => (await agentServices(consul)).size + (await catalogServices(consul)).size

      await using program = await Program.start(['registrar'], settings)
      await untilReady(program)
      const refused = await purge()
      expect(refused.code).toBe(1)
      expect(refused.stderr).toContain('expected it stopped')
      expect(await count()).toBe(14)

      program.process.kill('SIGTERM')
      await program.process.exited
      expect(await purge({ DRY_RUN: 'true' })).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('would remove 13 services') as string,
      })
      expect(await count()).toBe(14)
      expect(await purge()).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('removed 13 services') as string,
      })
      expect([...(await agentServices(consul)).keys()]).toEqual(['pod--a--b'])
      expect(await count()).toBe(1)
      expect(await consul.get('/v1/agent/service/redis')).toMatchObject({ ID: 'redis' })
      expect(await purge()).toMatchObject({ code: 0, stdout: 'nothing of the cluster c1 is in Consul\n' })
    },
  )
})
