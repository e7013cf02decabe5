/**
 * The demo's own cluster: a simulated API server and kubelets that answer with what real ones sent, and pods whose
 * metrics this process serves. Everything listens on 127.0.x.x, and only there.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CertificateAuthority } from '../lab/certificates.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { SimulatedKubelet } from '../lab/kubelet.ts'
import { SimulatedKubernetes, type PodOptions } from '../lab/kubernetes/simulated-kubernetes.ts'
import type { ClusterChange, DemoCluster } from './cluster.ts'
import { PodEndpoints } from './pod-endpoints.ts'

const nodeNames = ['node-1', 'node-2', 'node-3']
/** The pods that are there from the start, and stay. */
const workloads = [
  {
    namespace: 'shop',
    owner: { kind: 'ReplicaSet', name: 'web-6d9467768' },
    pods: ['ldx8n', 'nh5sl', '28gl6'],
  },
  { namespace: 'shop', owner: { kind: 'StatefulSet', name: 'cart' }, pods: ['0', '1'] },
  { namespace: 'payments', owner: { kind: 'ReplicaSet', name: 'api-5f7c9b6d8' }, pods: ['q2v7k'] },
]
const exporterOwner = { kind: 'DaemonSet', name: 'podsonar-exporter' }

export class SimulatedCluster implements DemoCluster {
  readonly name = 'demo'
  readonly description = `a simulated cluster of ${nodeNames.length} nodes`
  readonly kubeconfig: string
  readonly settings: DemoCluster['settings']
  readonly #owned: AsyncDisposableStack
  readonly #kubernetes: SimulatedKubernetes
  readonly #endpoints: PodEndpoints
  #changes = 0
  #guest: string | undefined

  private constructor(
    owned: AsyncDisposableStack,
    kubernetes: SimulatedKubernetes,
    endpoints: PodEndpoints,
    kubeconfig: string,
    settings: DemoCluster['settings'],
  ) {
    this.#owned = owned
    this.#kubernetes = kubernetes
    this.#endpoints = endpoints
    this.kubeconfig = kubeconfig
    this.settings = settings
  }

  /** @param exporterPort the port of the podsonar exporter that runs on this machine */
  static async start(exporterPort: number): Promise<SimulatedCluster> {
    await using owned = new AsyncDisposableStack()
    const token = randomBytes(16).toString('hex')
    const kubernetes = owned.use(await SimulatedKubernetes.start())
    const authority = owned.use(await CertificateAuthority.create())
    const folder = owned.use(await TemporaryFolder.create('demo'))
    const tokenFile = join(folder.path, 'token')
    await writeFile(tokenFile, token, { mode: 0o600 })
    for (const [index, node] of nodeNames.entries()) {
      const address = `127.0.20.${index + 1}`
      const certificate = await authority.issue({ commonName: node, dns: [node] })
      const kubelet = owned.use(await SimulatedKubelet.start({ address, token, certificate }))
      kubernetes.addNode({ name: node, internalIps: [address], kubeletPort: kubelet.port })
    }
    const endpoints = owned.use(await PodEndpoints.create())
    const settings = {
      registrar: {},
      proxy: {
        KUBELET_CERTIFICATE_AUTHORITY: authority.certificateFile,
        KUBELET_TOKEN_FILE: tokenFile,
        LOOPBACK_NODES: 'true',
      },
    }
    const kubeconfig = await kubernetes.kubeconfig()
    const cluster = new SimulatedCluster(owned.move(), kubernetes, endpoints, kubeconfig, settings)
    for (const { namespace, owner, pods } of workloads) {
      for (const suffix of pods) await cluster.#add({ namespace, owner, name: `${owner.name}-${suffix}` })
    }
    cluster.addLocal(exporterOwner, exporterPort)
    return cluster
  }

  readonly expected = (): readonly string[] => [
    ...this.#kubernetes.nodes.map(({ name }) => name),
    ...this.#kubernetes.pods.map(({ namespace, name, owner, ip, ports }) =>
      owner?.name === exporterOwner.name ? `${ip ?? ''}:${ports[0]?.port ?? 0}` : `${namespace}/${name}`,
    ),
  ]

  /** Tells the API server of an annotated pod that is a program on this machine, with or without a port for its metrics. */
  addLocal(owner: { kind: string; name: string }, port?: number): void {
    this.#kubernetes.addPod({
      ...{ namespace: 'monitoring', name: `${owner.name}-t7k2x`, owner, nodeName: 'node-1', ip: '127.0.0.1' },
      annotations: { 'prometheus.io/scrape': 'true' },
      ports: port === undefined ? [] : [{ name: 'metrics', port }],
    })
  }

  async change(): Promise<ClusterChange> {
    this.#changes += 1
    switch (this.#changes % 3) {
      case 1:
        this.#guest = `checkout-7b9f4c5d6-${randomBytes(3).toString('hex').slice(0, 5)}`
        return this.#comes('comes', this.#guest, { kind: 'ReplicaSet', name: 'checkout-7b9f4c5d6' })
      case 2:
        await this.#remove('cart-0')
        return this.#comes('moves', 'cart-0', { kind: 'StatefulSet', name: 'cart' })
      default: {
        const name = this.#guest ?? ''
        await this.#remove(name)
        return { kind: 'goes', subject: `shop/${name}`, address: undefined }
      }
    }
  }

  async #comes(
    kind: 'comes' | 'moves',
    name: string,
    owner: { kind: string; name: string },
  ): Promise<ClusterChange> {
    const address = await this.#add({ namespace: 'shop', name, owner })
    return { kind, subject: `shop/${name}`, address }
  }

  /** Gives the pod an address that answers, and tells the API server of it. */
  async #add({
    namespace,
    name,
    owner,
  }: Required<Pick<PodOptions, 'namespace' | 'name' | 'owner'>>): Promise<string> {
    const { ip, port } = await this.#endpoints.open(name)
    this.#kubernetes.addPod({
      ...{ namespace, name, owner, ip, nodeName: nodeNames[this.#endpoints.opened % nodeNames.length] },
      annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': String(port) },
      ports: [{ name: 'http', port }],
    })
    return `${ip}:${port}`
  }

  async #remove(name: string): Promise<void> {
    this.#kubernetes.deletePod('shop', name)
    await this.#endpoints.close(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
