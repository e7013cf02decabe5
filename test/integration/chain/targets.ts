import { afterAll, beforeAll, expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { Prometheus, type Target } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import {
  apply,
  Chain,
  chainSettings,
  cluster,
  list,
  remove,
  type NodeView,
  type PodView,
} from '../../support/chain.ts'
import { foundPods, prometheusConfig, wantedPods } from '../../support/chain-targets.ts'
import { chainNamespace, chainWorkloads } from '../../support/chain-workloads.ts'
import { auditedRequests, auditSize } from '../../support/audit-log.ts'
import { allowed } from '../../support/manifests.ts'

const patience = { timeoutMs: 120_000, everyMs: 500 }

describeWith(
  ['Kubernetes cluster', 'consul', 'prometheus', 'kubectl', 'containerd'],
  'on a real cluster',
  () => {
    let folder: TemporaryFolder
    beforeAll(async () => {
      folder = await TemporaryFolder.create('chain')
      await Chain.importImages()
      await apply(folder.path, chainWorkloads)
      for (const workload of ['deployment/web', 'statefulset/db', 'ds/agent'])
        await cluster(['-n', chainNamespace, 'rollout', 'status', workload, '--timeout=180s'])
      await cluster(['-n', chainNamespace, 'wait', '--for=condition=complete', 'job/done', '--timeout=120s'])
    }, 600_000)
    afterAll(async () => {
      await remove(chainWorkloads)
      await folder[Symbol.asyncDispose]()
    }, 300_000)

    it.each(['catalog', 'agent-sidecar', 'agent'])(
      'the manifests of %s make everything in it a target, and keep it so while pods come and go',
      async (overlay) => {
        const auditedBefore = auditSize()
        await using chain = await Chain.deploy(overlay)
        expect(['', 'PodDisruptionBudget']).toContain(chain.leftOut.join())
        await using prometheus = await Prometheus.start(prometheusConfig(new URL(chain.consul.url).host))

        /** Waits until the targets are what the cluster has, and all of them are up. */
        const settled = async (): Promise<Target[]> =>
          waitFor(
            `${overlay}: all of the cluster, and nothing else, to be up`,
            async () => {
              const targets = await prometheus.targets()
              expect(Object.fromEntries(foundPods(targets))).toEqual(Object.fromEntries(await wantedPods()))
              expect(
                targets.filter(({ health }) => health !== 'up').map(({ lastError }) => lastError),
              ).toEqual([])
              return targets
            },
            patience,
          )

        const targets = await settled()
        const pods = foundPods(targets)
        for (const name of ['on-host', 'unready', 'db-0'])
          expect(pods.has(`${chainNamespace}/${name}`)).toBe(true)
        expect([...pods.keys()].filter((name) => /client|done/.test(name))).toEqual([])

        // Nodes, through the NodePort, over a kubelet's verified TLS.
        const nodes = await list<NodeView>('nodes')
        const ofNodes = targets.filter(({ scrapePool }) => scrapePool === 'kubernetes-nodes-cadvisor')
        expect(ofNodes.map(({ scrapeUrl }) => scrapeUrl).sort()).toEqual(
          nodes
            .map(({ status }) => status.addresses.find(({ type }) => type === 'InternalIP')?.address ?? '')
            .map((ip) => `http://${ip}:31112/api/v1/nodes/${ip}:10250/metrics/cadvisor`)
            .sort(),
        )
        const cadvisor = `container_memory_working_set_bytes{job="kubernetes-nodes-cadvisor",namespace="${chainNamespace}",pod="db-0"}`
        const [memory] = await waitFor(
          'cAdvisor to know a pod',
          async () => {
            const found = await prometheus.query(cadvisor)
            return found.length > 0 ? found : undefined
          },
          patience,
        )
        expect(memory?.metric).toMatchObject({ cluster: `chain-${overlay}`, node: nodes[0]?.metadata.name })

        // The exporter's series are those of the pods that they are about, from both ends of the same connections.
        const exporter = `cluster="chain-${overlay}",job="podsonar-exporter",pod_namespace="${chainNamespace}",status="ESTABLISHED"`
        const [out, into] = await waitFor(
          'the connections of two pods',
          async () => {
            const client = await prometheus.query(`pod_connect_info{${exporter},pod_name="client"}`)
            const db = await prometheus.query(
              `pod_connect_info{${exporter},pod_name="db-0",remote_addr!="${chainSettings.host}"}`,
            )
            return client.length === 1 && db.some(({ value }) => value[1] === '3') ? [client, db] : undefined
          },
          patience,
        )
        expect(out[0]).toMatchObject({
          metric: { remote_port: '8080', container: 'main' },
          value: [expect.anything(), '3'],
        })
        const client = await list<PodView>('pods').then((all) =>
          all.find(({ metadata }) => metadata.name === 'client'),
        )
        expect(into.find(({ value }) => value[1] === '3')?.metric).toMatchObject({
          remote_addr: client?.status.podIP,
          remote_port: '0',
          node: client?.spec.nodeName,
        })

        // Pods come, move and go.
        await cluster(['-n', chainNamespace, 'scale', 'deployment/web', '--replicas=4'])
        await cluster(['-n', chainNamespace, 'delete', 'pod', 'db-0'])
        await cluster(['-n', chainNamespace, 'rollout', 'status', 'statefulset/db', '--timeout=120s'])
        await cluster(['-n', chainNamespace, 'rollout', 'status', 'deployment/web', '--timeout=120s'])
        const moved = foundPods(await settled())
        expect(moved.get(`${chainNamespace}/db-0`)).not.toBe(pods.get(`${chainNamespace}/db-0`))
        await cluster(['-n', chainNamespace, 'scale', 'deployment/web', '--replicas=2'])
        await settled()

        // The registrar goes, all at once, and another comes: nobody is lost meanwhile.
        const lost: string[] = []
        const before = foundPods(await prometheus.targets())
        const others = [...before.keys()].filter((name) => !name.startsWith('podsonar/podsonar-registrar'))
        await cluster(['-n', 'podsonar', 'delete', 'pod', '-l', 'app.kubernetes.io/component=registrar'])
        const again = cluster([
          '-n',
          'podsonar',
          'rollout',
          'status',
          'deployment/podsonar-registrar',
          '--timeout=120s',
        ])
        let isBack = false
        void again.then(() => (isBack = true))
        await waitFor(
          'the registrar to be back',
          async () => {
            const now = foundPods(await prometheus.targets())
            lost.push(...others.filter((name) => !now.has(name)))
            return isBack
          },
          patience,
        )
        await again
        await settled()
        // What was still shutting down may go; what is there has to have been there all the time.
        const kept = await wantedPods()
        expect(lost.filter((name) => kept.has(name))).toEqual([])

        // The client's connections broke with the first db-0: it starts anew for the next overlay.
        await cluster(['-n', chainNamespace, 'delete', 'pod', 'client'])
        await apply(
          folder.path,
          chainWorkloads.filter(({ metadata }) => metadata.name === 'client'),
        )

        if (chainSettings.auditLog !== undefined && overlay === 'catalog') {
          const log = chainSettings.auditLog
          expect(auditedRequests(log, auditedBefore).refused).toEqual([])
          // A watch may be logged when it ends.
          await chain[Symbol.asyncDispose]()
          await waitFor('every rule to be used, and nothing else', () => {
            const { byAccount } = auditedRequests(log, auditedBefore)
            for (const mode of ['registrar', 'proxy']) {
              // nodes/metrics is asked for by kubelets, and is in the log as theirs.
              const rules = allowed(chain.objects, `podsonar-${mode}`)
              const asked = [...(byAccount.get(`podsonar-${mode}`) ?? [])].sort()
              expect(asked, mode).toEqual(rules.filter((rule) => rule !== 'get nodes/metrics'))
            }
            expect(byAccount.get('podsonar-exporter')).toBeUndefined()
            return true
          })
        }
      },
      600_000,
    )
  },
)
