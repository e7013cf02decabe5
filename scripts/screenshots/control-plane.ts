/** A cluster of a shop, with what a registrar and a proxy of it have to say: pods, skipped ones, kubelets that refuse. */
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CertificateAuthority } from '../../lab/certificates.ts'
import { TemporaryFolder } from '../../lab/files.ts'
import { SimulatedKubelet, type KubeletBehaviour } from '../../lab/kubelet.ts'
import { SimulatedKubernetes } from '../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'

const workloads: Readonly<
  Record<string, readonly (readonly [name: string, replicas: number, port: string])[]>
> = {
  shop: [
    ['web-6d9467768', 6, '8080'],
    ['orders-7c5ddb9f7', 4, '8080'],
    ['checkout-5f7c9b6d8', 3, '9090'],
    ['cart', 2, '9121'],
  ],
  payments: [
    ['api-66c4f8b5d', 3, '8080'],
    ['ledger', 2, '9187'],
  ],
  search: [['indexer-84d6c9', 2, '9108']],
}
/** Annotated pods that cannot be targets. */
const skipped = [
  { name: 'legacy-report-x2x7p', annotations: { 'prometheus.io/scrape': 'true' }, ports: [] },
  {
    name: 'batch-import-kq9wd',
    annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': 'http' },
    ports: [],
  },
]
const behaviours: readonly KubeletBehaviour[] = ['answer', 'answer', 'forbidden', 'answer', 'hang', 'answer']

export class ControlPlane implements AsyncDisposable {
  readonly registrar: string
  readonly proxy: string
  readonly #owned: AsyncDisposableStack

  private constructor(registrar: string, proxy: string, owned: AsyncDisposableStack) {
    this.registrar = registrar
    this.proxy = proxy
    this.#owned = owned
  }

  /** Starts it; its pages are then at `registrar` and `proxy`, and every node has been scraped. */
  static async start(): Promise<ControlPlane> {
    await using owned = new AsyncDisposableStack()
    const kubernetes = owned.use(await SimulatedKubernetes.start())
    const authority = owned.use(await CertificateAuthority.create())
    const { path } = owned.use(await TemporaryFolder.create('screenshots'))
    const [token, tokenFile] = [randomUUID(), join(path, 'token')]
    await writeFile(tokenFile, token)
    const targets: string[] = []
    for (const [index, behaviour] of behaviours.entries()) {
      const [name, address] = [`node-${index + 1}`, `127.0.21.${index + 1}`]
      const certificate = await authority.issue({ commonName: name, dns: [name] })
      const kubelet = owned.use(await SimulatedKubelet.start({ address, token, certificate }))
      kubelet.behaviour = behaviour
      kubernetes.addNode({ name, internalIps: [address], kubeletPort: kubelet.port })
      targets.push(`${address}:${kubelet.port}`)
    }
    addPods(kubernetes)
    const shared = { KUBECONFIG: await kubernetes.kubeconfig(), LISTEN_ADDRESS: '127.0.0.1' }
    const registrar = owned.use(
      await Program.start(['registrar'], {
        ...shared,
        ...{ CLUSTER_NAME: 'prod-eu-1', CONSUL_ADDRESS: 'embedded', CONSUL_LISTEN: '0' },
        ...{
          SHARD_PATHS: 'prometheus-0,prometheus-1',
          POD_SERVICE_NAME: 'k8s-pods',
          NODE_SERVICE_NAME: 'k8s-nodes',
        },
      }),
    )
    const proxy = owned.use(
      await Program.start(['proxy'], {
        ...{ ...shared, KUBELET_TOKEN_FILE: tokenFile, LOOPBACK_NODES: 'true' },
        KUBELET_CERTIFICATE_AUTHORITY: authority.certificateFile,
      }),
    )
    const pages = [await registrar.url(), await proxy.url('OPS_PORT')] as const
    for (const page of pages)
      await waitFor(`${page} to be ready`, async () => (await fetch(`${page}/readyz`)).ok)
    const scrapes = await proxy.url()
    const headers = { 'x-prometheus-scrape-timeout-seconds': '2' }
    const scrapeAll = async (): Promise<unknown> =>
      Promise.all(
        targets.map(async (target) =>
          (await fetch(`${scrapes}/api/v1/nodes/${target}/metrics/cadvisor`, { headers })).text(),
        ),
      )
    for (let k = 0; k < 3; k += 1) await scrapeAll()
    return new ControlPlane(...pages, owned.move())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}

function addPods(kubernetes: SimulatedKubernetes): void {
  let count = 0
  for (const [namespace, members] of Object.entries(workloads))
    for (const [workload, replicas, port] of members)
      for (let k = 0; k < replicas; k += 1) {
        count += 1
        const kind = workload.includes('-') ? 'ReplicaSet' : 'StatefulSet'
        const suffix = kind === 'StatefulSet' ? String(k) : `${'bcdfgh'[k]}${'x7mq2z'[k]}t${(k + 3) % 10}k`
        kubernetes.addPod({
          ...{ namespace, name: `${workload}-${suffix}`, owner: { kind, name: workload } },
          ...{ ip: `10.42.${count % 6}.${10 + count}`, nodeName: `node-${(count % 6) + 1}` },
          annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': port },
        })
      }
  for (const pod of skipped) kubernetes.addPod({ namespace: 'shop', ip: '10.42.0.200', ...pod })
}
