/**
 * A Kubernetes API server of our own, for tests, benchmarks and the demo: pods, nodes and leases over HTTPS, with list
 * in pages, watch, bookmarks, optimistic locking, and every fault that a client must survive. Objects and refusals are
 * those that a real server sent (test/fixtures/kubernetes); 50,000 pods cost it 120 MB.
 */
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http'
import { createServer } from 'node:https'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { CertificateAuthority } from '../certificates.ts'
import { TemporaryFolder } from '../files.ts'
import { freePorts } from '../ports.ts'
import { ApiServer } from './api-server.ts'
import type { Faults } from './faults.ts'
import { nodeObject, podObject, type NodeState, type PodState } from './objects.ts'

export interface SimulatedKubernetesOptions {
  /** @default true: HTTPS with a CA of its own; false: HTTP */
  readonly tls?: boolean
  /** The bearer token it accepts. @default a random one */
  readonly token?: string
  /** How often watches get a bookmark, in milliseconds; real servers: a minute. @default 1000 */
  readonly bookmarkMs?: number
  /**
   * Objects are put into words when they are put, not whenever they are asked for: 5 kB of memory each, but a list then costs
   * the machine next to nothing, as one of a server elsewhere would. @default false
   */
  readonly prepared?: boolean
}

export type PodOptions = Partial<PodState> & Pick<PodState, 'name'>
export type NodeOptions = Partial<NodeState> & Pick<NodeState, 'name'>

export class SimulatedKubernetes implements AsyncDisposable {
  readonly api: ApiServer
  /** PEM of the CA that signed its certificate; undefined over HTTP. */
  readonly ca: string | undefined
  readonly #owned: AsyncDisposableStack
  readonly #folder: TemporaryFolder
  readonly #pods = new Map<string, PodState>()
  readonly #nodes = new Map<string, NodeState>()
  readonly #prepared: boolean
  readonly #createServer: (listener: RequestListener) => Server
  #server: Server | undefined
  readonly #sockets = new Set<Socket>()
  #port = 0
  #addresses = 0

  private constructor(
    owned: AsyncDisposableStack,
    folder: TemporaryFolder,
    api: ApiServer,
    ca: string | undefined,
    {
      create,
      prepared,
    }: { readonly create: (listener: RequestListener) => Server; readonly prepared: boolean },
  ) {
    this.#owned = owned
    this.#folder = folder
    this.api = api
    this.ca = ca
    this.#createServer = create
    this.#prepared = prepared
  }

  static async start({
    tls = true,
    token = randomUUID(),
    bookmarkMs = 1_000,
    prepared = false,
  }: SimulatedKubernetesOptions = {}): Promise<SimulatedKubernetes> {
    await using owned = new AsyncDisposableStack()
    const folder = owned.use(await TemporaryFolder.create('kubernetes'))
    const api = owned.use(new ApiServer(token, bookmarkMs))
    const ca = tls ? owned.use(await CertificateAuthority.create('kubernetes')) : undefined
    const names = { commonName: 'kube-apiserver', dns: ['localhost', 'kubernetes'], ips: ['127.0.0.1'] }
    const own = await ca?.issue(names)
    const create = (listener: RequestListener): Server =>
      own === undefined
        ? createPlainServer(listener)
        : createServer({ cert: own.certificate, key: own.key }, listener)
    const kubernetes = new SimulatedKubernetes(owned.move(), folder, api, ca?.certificate, {
      create,
      prepared,
    })
    await kubernetes.arrive()
    return kubernetes
  }

  get url(): string {
    return `${this.ca === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`
  }

  get faults(): Faults {
    return this.api.faults
  }

  /** Requests so far that match, in order. */
  requests(verb: string, resource?: string): ApiServer['requests'] {
    return this.api.requests.filter(
      (one) => one.verb === verb && (resource === undefined || one.resource === resource),
    )
  }

  /**
   * Writes a kubeconfig for this server, and gives its path.
   *
   * @param server the URL in it, where something stands in front
   */
  async kubeconfig(server: string = this.url): Promise<string> {
    const trust =
      this.ca === undefined
        ? { 'insecure-skip-tls-verify': true }
        : { 'certificate-authority-data': Buffer.from(this.ca).toString('base64') }
    const file = join(this.#folder.path, 'kubeconfig')
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'simulated', cluster: { server, ...trust } }],
      users: [{ name: 'podsonar', user: { token: this.api.token } }],
      contexts: [{ name: 'simulated', context: { cluster: 'simulated', user: 'podsonar' } }],
      'current-context': 'simulated',
    }
    await writeFile(file, JSON.stringify(config), { mode: 0o600 })
    return file
  }

  /**
   * Adds a pod, or replaces the one of that name. What is left out: namespace `default`, a new UID, an address of
   * 10.x.x.x, Running and ready, no labels, annotations, ports or owner.
   */
  addPod(options: PodOptions): PodState {
    return this.#putPod({
      namespace: 'default',
      uid: randomUUID(),
      ip: 'ip' in options ? options.ip : this.#nextAddress(),
      otherIps: [],
      labels: {},
      annotations: {},
      ports: [],
      nodeName: undefined,
      phase: 'Running',
      ready: true,
      hostNetwork: false,
      terminating: false,
      owner: undefined,
      ...options,
    })
  }

  updatePod(namespace: string, name: string, change: Partial<PodState>): PodState {
    const pod = this.#pods.get(`${namespace}/${name}`)
    if (pod === undefined) throw new Error(`Cannot change pod ${namespace}/${name}: there is none`)
    return this.#putPod({ ...pod, ...change })
  }

  setReady(namespace: string, name: string, ready: boolean): PodState {
    return this.updatePod(namespace, name, { ready })
  }

  deletePod(namespace: string, name: string): void {
    this.api.stores.pods.delete(namespace, name)
    this.#pods.delete(`${namespace}/${name}`)
  }

  /** Adds a node, or replaces the one of that name. What is left out: an address of 10.x.x.x, port 10250, ready. */
  addNode(options: NodeOptions): NodeState {
    const ips = options.internalIps ?? [this.#nextAddress()]
    return this.#putNode({
      uid: randomUUID(),
      kubeletPort: 10_250,
      labels: { 'kubernetes.io/hostname': options.name },
      ready: true,
      ...options,
      internalIps: ips,
    })
  }

  updateNode(name: string, change: Partial<NodeState>): NodeState {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`Cannot change node ${name}: there is none`)
    return this.#putNode({ ...node, ...change })
  }

  /** Adds a service, or replaces the one of that name. */
  addService(namespace: string, name: string, ...clusterIPs: readonly [string, ...string[]]): void {
    const uid = randomUUID()
    this.api.stores.services.put((resourceVersion) => ({
      ...{ namespace, name, resourceVersion },
      labels: {},
      fields: { 'metadata.name': name, 'metadata.namespace': namespace },
      render: () => {
        const metadata = { name, namespace, uid, resourceVersion: String(resourceVersion) }
        const spec = { clusterIP: clusterIPs[0], clusterIPs, type: 'ClusterIP' }
        return Buffer.from(JSON.stringify({ metadata, spec }))
      },
    }))
  }

  deleteNode(name: string): void {
    this.api.stores.nodes.delete(undefined, name)
    this.#nodes.delete(name)
  }

  get pods(): readonly PodState[] {
    return [...this.#pods.values()]
  }

  get nodes(): readonly NodeState[] {
    return [...this.#nodes.values()]
  }

  /** As etcd's compaction: watches and continue tokens from before get 410. */
  compact(): void {
    for (const store of Object.values(this.api.stores)) store.compact()
    this.api.lists.expire()
  }

  /** Lists end after `count` objects, though the first page announced more; undefined: they are honest again. */
  shortenLists(count: number | undefined): void {
    this.api.lists.flaws.shortenTo = count
  }

  closeWatches(options: { readonly reset?: boolean } = {}): void {
    this.api.watches.close(options)
  }

  /** Open watches stay connected and never get anything again; new requests are answered. */
  silenceWatches(): void {
    this.api.watches.silence()
  }

  /** From now on nothing is answered and open watches are silent for ever, until {@link thaw}. */
  freeze(): void {
    this.api.frozen = true
    this.silenceWatches()
  }

  thaw(): void {
    this.api.frozen = false
  }

  /** The server is gone: connections are cut, new ones refused, until {@link arrive}. */
  async leave(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    const closed = new Promise((resolve) => server.close(resolve))
    // Those too whose TLS handshake goes on: the server does not count them as its connections yet.
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Listens again, on the same port. */
  async arrive(): Promise<void> {
    const server = this.#createServer((request, response) => {
      void this.api.handle(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : undefined)
      })
    })
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.#port ||= (await freePorts(1))[0] ?? 0
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#server = server
  }

  #putPod(pod: PodState): PodState {
    const { namespace, name, labels, nodeName = '', phase } = pod
    this.#pods.set(`${namespace}/${name}`, pod)
    this.api.stores.pods.put((resourceVersion) => ({
      namespace,
      name,
      labels,
      fields: {
        'metadata.name': name,
        'metadata.namespace': namespace,
        'spec.nodeName': nodeName,
        'status.phase': phase,
      },
      resourceVersion,
      render: this.#rendered(() => podObject(pod, String(resourceVersion))),
    }))
    return pod
  }

  #putNode(node: NodeState): NodeState {
    const { name, labels } = node
    this.#nodes.set(name, node)
    this.api.stores.nodes.put((resourceVersion) => ({
      namespace: undefined,
      name,
      labels,
      fields: { 'metadata.name': name },
      resourceVersion,
      render: this.#rendered(() => nodeObject(node, String(resourceVersion))),
    }))
    return node
  }

  #rendered(object: () => unknown): () => Buffer {
    const render = (): Buffer => Buffer.from(JSON.stringify(object()))
    if (!this.#prepared) return render
    const bytes = render()
    return () => bytes
  }

  #nextAddress(): string {
    this.#addresses += 1
    const index = this.#addresses
    return `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave()
    await this.#owned.disposeAsync()
  }
}
