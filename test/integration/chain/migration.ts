import { afterAll, beforeAll, expect, it } from 'vitest'
import { Consul } from '../../../lab/consul.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import {
  apply,
  Chain,
  chainSettings,
  cluster,
  clusterNameOf,
  list,
  remove,
  serfAddress,
  type PodView,
} from '../../support/chain.ts'
import { kubeletRule, oldManifests, oldNamespace } from '../../support/old-manifests.ts'

const patience = { timeoutMs: 150_000, everyMs: 500 }
const clusterName = clusterNameOf('catalog')
const shards = ['shard-1', 'shard-2', 'shard-3']

interface CatalogService {
  readonly Node: string
  readonly ServiceID: string
  readonly ServiceMeta: Readonly<Record<string, string>>
}

/** A pod as k8s-pod-metrics registers it. */
function asBefore(namespace: string, name: string, ip: string, index: number): object {
  const id = `pod--${namespace}--${name}`
  const meta = {
    ...{ cluster_name: clusterName, namespace, pod_name: name, pod_ip: ip, metric_ip: ip },
    ...{ metrics_port: '8080', metrics_path: '/metrics', instance: `${ip}:8080` },
    shard_path: shards[index % shards.length],
  }
  return { ID: id, Name: id, Tags: [id], Address: ip, Port: 8080, Meta: meta }
}

describeWith(
  ['Kubernetes cluster', 'consul', 'kubectl', 'containerd'],
  'moving from k8s-pod-metrics on a real cluster',
  () => {
    const owned = new AsyncDisposableStack()
    let folder: TemporaryFolder
    let consul: Consul
    const oldObjects = (proxy = {}) =>
      serfAddress(consul).then((join) => oldManifests({ clusterName, shards, join, proxy }))

    /** Every service of this cluster in the catalog, with its Consul node. */
    const catalog = async (): Promise<CatalogService[]> => {
      const names = Object.keys(await consul.get<Record<string, unknown>>('/v1/catalog/services'))
      const services = await Promise.all(
        names.map((name) => consul.get<CatalogService[]>(`/v1/catalog/service/${name}`)),
      )
      return services.flat().filter(({ ServiceMeta }) => ServiceMeta['cluster_name'] === clusterName)
    }
    const throughNodePort = async (): Promise<{ status: number; text: string }> => {
      const ip = chainSettings.host
      const answer = await fetch(`http://${ip}:31112/api/v1/nodes/${ip}:10250/metrics/cadvisor`)
      return { status: answer.status, text: await answer.text() }
    }

    beforeAll(async () => {
      folder = owned.use(await TemporaryFolder.create('migration'))
      await Chain.importImages()
      consul = owned.use(await Consul.start({ address: chainSettings.host }))
      const target = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: oldNamespace },
        spec: {
          replicas: 3,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: {
              labels: { app: 'web' },
              annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '8080' },
            },
            spec: { containers: [{ name: 'web', image: 'registry.k8s.io/pause:3.6' }] },
          },
        },
      }
      const [namespace] = await oldObjects()
      if (namespace) await apply(folder.path, [namespace, target])
      await cluster(['-n', oldNamespace, 'rollout', 'status', 'deployment/web', '--timeout=120s'])
    }, 600_000)
    afterAll(async () => {
      await remove([...(await oldObjects()), ...kubeletRule])
      await owned.disposeAsync()
    }, 300_000)

    it('takes over under its manifests, then under ours, and leaves nothing of the old set', async () => {
      const pods = (await list<PodView>('pods')).filter(
        ({ metadata }) =>
          metadata.namespace === oldNamespace && metadata.annotations?.['prometheus.io/scrape'],
      )
      expect(pods).toHaveLength(3)
      {
        // What k8s-pod-metrics left: its agent died with its pod, and one pod went since.
        await using agent = await Consul.start({
          address: chainSettings.host,
          nodeName: 'old-pod',
          join: consul,
        })
        for (const [index, { metadata, status }] of pods.entries())
          await agent.put(
            '/v1/agent/service/register',
            asBefore(oldNamespace, metadata.name, status.podIP ?? '', index),
          )
        await agent.put('/v1/agent/service/register', asBefore(oldNamespace, 'gone', '10.89.255.1', 0))
        await waitFor('Consul to know the old set', async () => (await catalog()).length === 4)
        await agent.kill()
      }

      // Step 1: the image alone.
      await apply(folder.path, await oldObjects())
      for (const name of ['k8s-consul-registrar', 'k8s-consul-registrar-svc'])
        await cluster(['-n', oldNamespace, 'rollout', 'status', `deployment/${name}`, '--timeout=120s'])
      const taken = await waitFor(
        'the new set to stand and the old one to be gone',
        async () => {
          const services = (await catalog()).filter(
            ({ ServiceMeta }) => ServiceMeta['managed_by'] === 'podsonar',
          )
          const ours = services.filter(({ ServiceID }) => ServiceID.startsWith(`pod--${oldNamespace}--web`))
          const left = (await catalog()).filter(({ Node }) => Node === 'old-pod')
          return ours.length === 3 && left.length === 0 ? ours : undefined
        },
        patience,
      )
      for (const { ServiceID, ServiceMeta } of taken)
        expect(shards, ServiceID).toContain(ServiceMeta['shard_path'])
      expect((await catalog()).map(({ ServiceID }) => ServiceID)).not.toContain(`pod--${oldNamespace}--gone`)

      // The proxy verifies kubelets now, and says what to do.
      const refused = await waitFor('the proxy to answer', throughNodePort, patience)
      expect(refused).toMatchObject({ status: 502 })
      expect(JSON.parse(refused.text)).toMatchObject({ error: 'upstream_tls' })
      await apply(folder.path, [...(await oldObjects({ KUBELET_INSECURE_TLS: 'true' })), ...kubeletRule])
      await cluster([
        '-n',
        oldNamespace,
        'rollout',
        'status',
        'deployment/k8s-consul-registrar-svc',
        '--timeout=120s',
      ])
      await waitFor(
        'cAdvisor through the old NodePort',
        async () => {
          const { status, text } = await throughNodePort()
          return status === 200 && text.includes('container_memory_working_set_bytes')
        },
        patience,
      )

      // Step 2: the old Service makes room for ours, and then the old Deployments go.
      await cluster(['-n', oldNamespace, 'delete', 'service', 'k8s-consul-registrar-proxy-service'])
      await using chain = await Chain.deploy('catalog', { consul })
      expect(chain.consul).toBe(consul)
      await cluster([
        '-n',
        oldNamespace,
        'delete',
        'deployment',
        'k8s-consul-registrar',
        'k8s-consul-registrar-svc',
      ])
      await waitFor(
        'only our set',
        async () => {
          const services = await catalog()
          const web = services.filter(({ ServiceMeta }) => ServiceMeta['namespace'] === oldNamespace)
          return web.length === 3 && services.every(({ Node }) => Node === `k8s-${clusterName}`)
        },
        patience,
      )
      const names = Object.keys(await consul.get<Record<string, unknown>>('/v1/catalog/services'))
      expect(names.sort()).toEqual(['consul', 'k8s-nodes', 'k8s-pods', 'podsonar-registrar'])
      await waitFor(
        'cAdvisor through our NodePort',
        async () => (await throughNodePort()).status === 200,
        patience,
      )
    }, 900_000)
  },
)
