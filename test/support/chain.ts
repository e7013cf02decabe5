/** podsonar on a real cluster, as its manifests are, with a real Consul outside. */
import { X509Certificate } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { Consul } from '../../lab/consul.ts'
import { TemporaryFolder } from '../../lab/files.ts'
import { kubectl, renderKustomization, type KubernetesObject } from '../../lab/kubectl.ts'
import { buildConsulImage, consulImage } from '../../lab/consul-image.ts'
import { buildPodsonarImage, importImage } from '../../lab/podsonar-image.ts'
import { waitFor } from '../../lab/wait.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))

/** What the environment says of the cluster. PODSONAR_TEST_KUBECONFIG is needed, the others where the lab wants them. */
export const chainSettings = {
  kubeconfig: process.env['PODSONAR_TEST_KUBECONFIG'] ?? '',
  /** A containerd of this machine to import images into; unset: the cluster has podsonar:VERSION by itself. */
  containerd: process.env['PODSONAR_TEST_CONTAINERD'],
  /** The API server's audit log, with requests of our service accounts. */
  auditLog: process.env['PODSONAR_TEST_AUDIT_LOG'],
  /** This machine's address as pods see it. */
  host:
    process.env['PODSONAR_TEST_HOST'] ??
    Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal)?.address ??
    '127.0.0.1',
}

export interface PodView {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly annotations?: Record<string, string>
  }
  readonly spec: { readonly nodeName?: string }
  readonly status: { readonly phase: string; readonly podIP?: string }
}

export interface NodeView {
  readonly metadata: { readonly name: string }
  readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] }
}

export class Chain implements AsyncDisposable {
  readonly consul: Consul
  readonly overlay: string
  /** What was applied. */
  readonly objects: readonly KubernetesObject[]
  /** Kinds of the overlay that this cluster is too old for. */
  readonly leftOut: readonly string[]
  readonly #owned: AsyncDisposableStack

  private constructor(
    owned: AsyncDisposableStack,
    consul: Consul,
    overlay: string,
    parts: { objects: readonly KubernetesObject[]; leftOut: readonly string[] },
  ) {
    this.#owned = owned
    this.consul = consul
    this.overlay = overlay
    this.objects = parts.objects
    this.leftOut = parts.leftOut
  }

  /** Imports the images into the cluster's containerd, where one is named. */
  static async importImages(): Promise<void> {
    const { containerd } = chainSettings
    if (containerd === undefined) return
    for (const build of [buildPodsonarImage, buildConsulImage]) {
      await using folder = await TemporaryFolder.create('image')
      await importImage(containerd, await build(folder.path))
    }
  }

  /**
   * Applies an overlay through a kustomization like the one that docs/install.md shows, and waits until all is ready.
   *
   * @param options.consul a Consul of the caller instead of a new one
   * @param options.components names in deploy/kubernetes/components. @default none
   */
  static async deploy(
    overlay: string,
    { consul: shared, components = [] }: { consul?: Consul; components?: readonly string[] } = {},
  ): Promise<Chain> {
    await using owned = new AsyncDisposableStack()
    const consul = shared ?? owned.use(await Consul.start({ address: chainSettings.host }))
    const folder = owned.use(await TemporaryFolder.create('chain'))
    await writeKustomization(folder.path, overlay, consul, components)
    const { objects, leftOut } = await knownToCluster(await renderKustomization(folder.path))
    owned.defer(async () => {
      await remove(objects)
    })
    await apply(folder.path, objects)
    for (const workload of ['deployment/podsonar-registrar', 'deployment/podsonar-proxy'])
      await cluster(['-n', 'podsonar', 'rollout', 'status', workload, '--timeout=180s'])
    await cluster(['-n', 'podsonar-exporter', 'rollout', 'status', 'ds/podsonar-exporter', '--timeout=180s'])
    return new Chain(owned.move(), consul, overlay, { objects, leftOut })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}

/** kubectl on the test cluster. */
export function cluster(args: readonly string[]): Promise<string> {
  return kubectl(args, chainSettings.kubeconfig)
}

export async function list<T>(resource: string): Promise<T[]> {
  const answer = JSON.parse(await cluster(['get', resource, '--all-namespaces', '-o', 'json'])) as {
    items: T[]
  }
  return answer.items
}

/** Those objects that the cluster is not too old for, and the kinds of the others, each once. */
export async function knownToCluster(
  rendered: readonly KubernetesObject[],
): Promise<{ objects: KubernetesObject[]; leftOut: string[] }> {
  const versions = (await cluster(['api-versions'])).split('\n')
  const objects = rendered.filter(({ apiVersion }) => versions.includes(apiVersion))
  const leftOut = rendered.filter((object) => !objects.includes(object)).map(({ kind }) => kind)
  return { objects, leftOut: [...new Set(leftOut)] }
}

/**
 * Applies objects, with a file in `folder`.
 *
 * @returns what kubectl says of each
 */
export async function apply(
  folder: string,
  objects: readonly KubernetesObject[],
  flags: readonly string[] = [],
): Promise<string> {
  const file = join(folder, 'objects.json')
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  return cluster(['apply', ...flags, '-f', file])
}

/** Removes objects; with a namespace goes all that is in it. */
export async function remove(objects: readonly KubernetesObject[]): Promise<void> {
  const global = objects.filter(({ metadata, kind }) => metadata.namespace === undefined && kind !== 'List')
  for (const { kind, metadata } of global.toReversed())
    await cluster(['delete', kind, metadata.name, '--ignore-not-found', '--timeout=120s'])
}

/** The CLUSTER_NAME that {@link Chain.deploy} gives. */
export function clusterNameOf(overlay: string): string {
  return `chain-${overlay}`
}

/** Where agents in pods join a Consul of this machine. */
export async function serfAddress(consul: Consul): Promise<string> {
  const self = await consul.get<{ DebugConfig: { SerfPortLAN: number } }>('/v1/agent/self')
  return `${chainSettings.host}:${self.DebugConfig.SerfPortLAN}`
}

async function writeKustomization(
  folder: string,
  overlay: string,
  consul: Consul,
  components: readonly string[],
): Promise<void> {
  const address = new URL(consul.url).host
  const registrar = [`CLUSTER_NAME=${clusterNameOf(overlay)}`, 'POD_LABELS=app']
  const generators: object[] = []
  const map = (name: string, literals: readonly string[], behavior = 'merge', namespace = 'podsonar') => {
    generators.push({ name, namespace, behavior, literals })
  }
  if (overlay === 'catalog') registrar.push(`CONSUL_ADDRESS=${address}`)
  else {
    const join = [await serfAddress(consul)]
    map('podsonar-consul-agent', [`site.json=${JSON.stringify({ retry_join: join, ports: { grpc: -1 } })}`])
  }
  map('podsonar-registrar-settings', registrar)
  const patches: object[] = []
  const authority = await kubeletAuthority()
  if (authority === undefined) map('podsonar-proxy-settings', ['KUBELET_INSECURE_TLS=true'])
  else {
    map('podsonar-kubelet-ca', [`ca.crt=${authority}`], 'create')
    map('podsonar-proxy-settings', ['KUBELET_CERTIFICATE_AUTHORITY=/etc/podsonar/kubelet-ca/ca.crt'])
  }
  const { containerd } = chainSettings
  if (containerd !== undefined && !containerd.startsWith('/run/')) {
    // A runtime at an unusual place: its folder is mounted, and named.
    map(
      'podsonar-exporter-settings',
      [`RUNTIME_ENDPOINT=unix:///host${containerd}`],
      'merge',
      'podsonar-exporter',
    )
    const mount = { name: 'runtime', mountPath: `/host${dirname(containerd)}`, readOnly: true }
    const volume = { name: 'runtime', hostPath: { path: dirname(containerd), type: 'Directory' } }
    patches.push({
      target: { kind: 'DaemonSet', name: 'podsonar-exporter' },
      patch: stringify([
        { op: 'add', path: '/spec/template/spec/containers/0/volumeMounts/-', value: mount },
        { op: 'add', path: '/spec/template/spec/volumes/-', value: volume },
      ]),
    })
  }
  await mkdir(folder, { recursive: true })
  await writeFile(
    join(folder, 'kustomization.yaml'),
    stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [relative(folder, join(project, 'deploy/kubernetes/overlays', overlay))],
      components: components.map((name) =>
        relative(folder, join(project, 'deploy/kubernetes/components', name)),
      ),
      images: [{ name: 'docker.io/hashicorp/consul', newName: consulImage.name, newTag: consulImage.tag }],
      configMapGenerator: generators,
      patches,
    }),
  )
}

/** PEM of the authority that a kubelet's certificate comes with; undefined when it comes alone. */
async function kubeletAuthority(): Promise<string | undefined> {
  const [node] = await list<NodeView>('nodes')
  const host = node?.status.addresses.find(({ type }) => type === 'InternalIP')?.address
  return waitFor('a kubelet to show its certificate', () => {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
    const socket = connect({ host, port: 10_250, rejectUnauthorized: false }, () => {
      const own = socket.getPeerCertificate(true)
      const { issuerCertificate: authority } = own
      socket.destroy()
      const pem = new X509Certificate(authority.raw).toString()
      resolve(authority.fingerprint256 === own.fingerprint256 ? undefined : pem)
    })
    socket.on('error', reject)
    return promise.then((found) => ({ found }))
  }).then(({ found }) => found)
}
