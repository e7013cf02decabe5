import { expect, it } from 'vitest'
import { demoPrometheusConfig } from '../../../demo/prometheus-config.ts'
import { Consul } from '../../../lab/consul.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus, type Target } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { marked, registrarSettings, untilReady } from '../../support/registrar.ts'

const grouped = { POD_SERVICE_NAME: 'k8s-pods', NODE_SERVICE_NAME: 'k8s-nodes' }

function cluster(kubernetes: SimulatedKubernetes): void {
  for (let index = 1; index <= 3; index += 1)
    kubernetes.addNode({ name: `node-${index}`, internalIps: [`192.168.0.${index}`] })
  for (let index = 1; index <= 30; index += 1) {
    kubernetes.addPod({
      name: `web-${index}`,
      namespace: index % 2 === 0 ? 'shop' : 'default',
      ip: index === 30 ? 'fd00::30' : `10.0.0.${index}`,
      annotations: marked({
        port: '9090',
        ...(index === 1 ? { path: '/stats', scheme: 'https', param_a: 'b' } : {}),
      }),
    })
  }
}

const labelsOf = ({ labels: { job, cluster, namespace, pod, node, instance, shard } }: Target) =>
  JSON.stringify({ job, cluster, namespace, pod, node, instance, shard })

describeWith(['consul', 'prometheus'], 'Prometheus, Consul and the registrar', () => {
  it.each([
    ['the agent backend', {}],
    ['the catalog backend', { CONSUL_BACKEND: 'catalog', LEADER_ELECTION: 'false' }],
  ])(
    'every target is discovered with the right labels, and gone when it is, with %s',
    async (_name, backend) => {
      await using consul = await Consul.start()
      await using kubernetes = await SimulatedKubernetes.start()
      cluster(kubernetes)
      const more = { ...grouped, ...backend, SHARD_PATHS: 'shard-1' }
      await using program = await Program.start(
        ['registrar'],
        await registrarSettings(consul, kubernetes, more),
      )
      await untilReady(program)
      await using prometheus = await Prometheus.start(
        demoPrometheusConfig(consul.url.slice('http://'.length)),
      )
      const found = async () => (await prometheus.targets()).map(labelsOf).sort()
      const expected = () =>
        [
          ...kubernetes.pods.map(({ namespace, name, ip = '' }) => ({
            job: 'kubernetes-pods',
            ...{ cluster: 'c1', namespace, pod: name },
            instance: ip.includes(':') ? `[${ip}]:9090` : `${ip}:9090`,
            shard: 'shard-1',
          })),
          ...kubernetes.nodes.map(({ name, internalIps: [ip] }) => ({
            job: 'kubernetes-nodes-cadvisor',
            ...{ cluster: 'c1', node: name, instance: ip, shard: 'shard-1' },
          })),
        ]
          .map((labels) => JSON.stringify(labels))
          .sort()
      const agree = () =>
        waitFor('Prometheus to know what the cluster has', async () => {
          expect(await found()).toEqual(expected())
          return true
        })

      await agree()
      const urls = (await prometheus.targets()).map(({ scrapeUrl }) => scrapeUrl)
      expect(urls).toContain('https://10.0.0.1:9090/stats?a=b')
      expect(urls).toContain('http://[fd00::30]:9090/metrics')
      expect(urls).toContain('http://192.168.0.1:31112/api/v1/nodes/192.168.0.1:10250/metrics/cadvisor')

      kubernetes.deletePod('default', 'web-3')
      kubernetes.updatePod('shop', 'web-2', { ip: '10.0.9.9' })
      kubernetes.addPod({ name: 'late', annotations: marked({ port: '9090' }) })
      kubernetes.deleteNode('node-2')
      await agree()
    },
  )
})
