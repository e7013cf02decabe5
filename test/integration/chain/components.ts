import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { Process } from '../../../lab/process.ts'
import { entry } from '../../../lab/program.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { auditedRequests, auditSize } from '../../support/audit-log.ts'
import { apply, Chain, chainSettings, cluster, list, remove, type PodView } from '../../support/chain.ts'
import { foundPods, prometheusConfig, wantedPods } from '../../support/chain-targets.ts'
import { chainNamespace, chainWorkloads } from '../../support/chain-workloads.ts'
import { kubeconfigOf } from '../../support/kubeconfig-of.ts'
import { allowed } from '../../support/manifests.ts'

const patience = { timeoutMs: 150_000, everyMs: 500 }
const microk8sFolder = '/var/snap/microk8s/common/run'
const group = 'rbac.authorization.k8s.io'
/** Who may capture pods of the chain's namespace, and no others. */
const capturer = 'capturer'

function binding(name: string, namespace: string) {
  return {
    ...{
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata: { name: `${name}-${capturer}`, namespace },
    },
    roleRef: { apiGroup: group, kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name: capturer, namespace: chainNamespace }],
  }
}

const people = [
  {
    ...{ apiVersion: 'v1', kind: 'ServiceAccount' },
    metadata: { name: capturer, namespace: chainNamespace },
  },
  {
    ...{ apiVersion: `${group}/v1`, kind: 'Role', metadata: { name: 'pods', namespace: chainNamespace } },
    rules: [
      { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
      { apiGroups: [''], resources: ['pods/portforward'], verbs: ['create'] },
    ],
  },
  binding('pods', chainNamespace),
  // As docs/capture.md says: the way to the exporters.
  binding('podsonar-capture', 'podsonar-exporter'),
]

describeWith(
  ['Kubernetes cluster', 'consul', 'prometheus', 'kubectl', 'containerd'],
  'the components on a real cluster',
  () => {
    const owned = new AsyncDisposableStack()
    let folder: TemporaryFolder
    let chain: Chain
    const auditedBefore = auditSize()
    const components = ['capture', 'peer-info', 'pod-proxy']

    beforeAll(async () => {
      folder = owned.use(await TemporaryFolder.create('components'))
      await Chain.importImages()
      if (chainSettings.containerd !== undefined) {
        // The cluster's node is this machine: it gets the folder that nodes of microk8s have.
        const made = await mkdir(microk8sFolder, { recursive: true })
        if (made !== undefined) owned.defer(() => rm(made, { recursive: true }))
        components.push('microk8s')
      }
      await apply(folder.path, chainWorkloads)
      owned.defer(() => remove(chainWorkloads))
      for (const workload of ['deployment/web', 'statefulset/db', 'ds/agent'])
        await cluster(['-n', chainNamespace, 'rollout', 'status', workload, '--timeout=180s'])
      chain = owned.use(await Chain.deploy('catalog', { components }))
      await apply(folder.path, people)
    }, 900_000)
    afterAll(async () => {
      await owned.disposeAsync()
    }, 300_000)

    const addressOf = async (name: string): Promise<string> => {
      const pods = await list<PodView>('pods')
      return pods.find(({ metadata }) => metadata.name === name)?.status.podIP ?? ''
    }

    it('has every pod scraped through the proxy, and every address named', async () => {
      await using prometheus = await Prometheus.start(prometheusConfig(new URL(chain.consul.url).host))
      const targets = await waitFor(
        'every pod to be up',
        async () => {
          const found = await prometheus.targets()
          expect([...foundPods(found).keys()].sort()).toEqual([...(await wantedPods()).keys()].sort())
          expect(found.filter(({ health }) => health !== 'up').map(({ lastError }) => lastError)).toEqual([])
          return found
        },
        patience,
      )
      const host = chainSettings.host
      const workloads = targets.filter(({ scrapePool }) => scrapePool === 'kubernetes-pods')
      expect(workloads.length).toBeGreaterThan(4)
      for (const { scrapeUrl } of workloads) expect(new URL(scrapeUrl).port).toBe('31112')
      expect(workloads.some(({ scrapeUrl }) => scrapeUrl.startsWith(`http://${host}:31112/`))).toBe(true)

      const ip = await addressOf('db-0')
      const peer = await waitFor(
        'the address of a pod to have a name',
        async () => (await prometheus.query(`podsonar_peer_info{remote_addr="${ip}"}`))[0],
        patience,
      )
      expect(peer.metric).toMatchObject({
        ...{ cluster: 'chain-catalog', kind: 'pod', namespace: chainNamespace, name: 'db-0', workload: 'db' },
      })
      // Every replica of the registrar tells it.
      const service = `podsonar_peer_info{kind="service",namespace="${chainNamespace}",name="db"}`
      expect(await prometheus.query(`group by (remote_addr) (${service})`)).toHaveLength(1)
    }, 300_000)

    /** `podsonar capture` from a workstation, as the one who may little. */
    const capture = async (kubeconfig: string, args: readonly string[]): Promise<Process> =>
      Process.start(
        'podsonar capture',
        entry,
        ['capture', '--cluster', '--kubeconfig', kubeconfig, ...args],
        {
          env: { PATH: process.env['PATH'], HOME: folder.path },
        },
      )

    it('captures a pod through the API server and the exporter of its node', async () => {
      const kubeconfig = await kubeconfigOf(folder.path, chainNamespace, capturer)
      const file = join(folder.path, 'db.pcap')
      const filter = ['--', 'tcp', 'port', '8080']
      await using capturing = await capture(kubeconfig, [
        ...['-n', chainNamespace, 'db-0', '-w', file],
        ...filter,
      ])
      const url = `http://${await addressOf('db-0')}:8080/packets-of-the-chain`
      await waitFor(
        'a request to be in the file',
        async () => {
          if (!capturing.running) throw new Error(capturing.stderr)
          await (await fetch(url)).text()
          return (await readFile(file).catch(() => Buffer.alloc(0))).includes('GET /packets-of-the-chain ')
        },
        patience,
      )
      capturing.kill('SIGINT')
      expect(await capturing.exited, capturing.stderr).toMatchObject({ code: 0 })
      const bytes = await readFile(file)
      expect(bytes.readUInt32LE(0)).toBe(0xa1b2_c3d4)
      expect(bytes.includes('chain_self{self="db-0"}')).toBe(true)
    }, 300_000)

    it('captures no pod of a namespace in which one may not', async () => {
      const kubeconfig = await kubeconfigOf(folder.path, chainNamespace, capturer)
      const [name = ''] = (await list<PodView>('pods'))
        .filter(({ metadata }) => metadata.namespace === 'podsonar')
        .map(({ metadata }) => metadata.name)
      await using capturing = await capture(kubeconfig, ['-n', 'podsonar', name, '-w', '/dev/null'])
      expect(await capturing.exited).toMatchObject({ code: 1 })
      expect(capturing.stderr).toMatch(/forbidden|403/i)
    }, 120_000)

    it.runIf(chainSettings.auditLog !== undefined)(
      'asks for what the roles give, and for nothing else',
      async () => {
        const log = chainSettings.auditLog ?? ''
        const { objects } = chain
        // A watch may be logged when it ends.
        await chain[Symbol.asyncDispose]()
        await waitFor('every rule to be used', () => {
          const { byAccount, refused } = auditedRequests(log, auditedBefore)
          expect(refused).toEqual([])
          for (const mode of ['registrar', 'proxy', 'exporter'])
            expect([...(byAccount.get(`podsonar-${mode}`) ?? [])].sort(), mode).toEqual(
              // nodes/metrics is asked for by kubelets.
              allowed(objects, `podsonar-${mode}`).filter((rule) => rule !== 'get nodes/metrics'),
            )
          return true
        })
      },
      300_000,
    )
  },
)
