/**
 * The demo on a real cluster, through kubectl: a namespace of its own with a few pods, a service account that may read
 * nodes and pods and scrape kubelets, and nothing else. Disposing removes all of it.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { TemporaryFolder } from '../lab/files.ts'
import { run } from '../lab/process.ts'
import { waitFor } from '../lab/wait.ts'
import type { ClusterChange, DemoCluster } from './cluster.ts'
import { step } from './screen.ts'

export interface RealClusterOptions {
  /** A context of ~/.kube/config; KUBECONFIG is ignored, because people have their production there. */
  readonly context: string
  /** An image with busybox that the cluster has or can pull. */
  readonly image: string
}

const metricsPort = 9090
const serveMetrics = `mkdir -p /tmp/www && echo "demo_up 1" > /tmp/www/metrics && exec httpd -f -p ${metricsPort} -h /tmp/www`

/** kubectl on one context of the user's own kubeconfig. */
type Kubectl = (args: readonly string[]) => Promise<string>

export class RealCluster implements DemoCluster {
  readonly name: string
  readonly description: string
  readonly kubeconfig: string
  readonly settings: DemoCluster['settings']
  readonly #owned: AsyncDisposableStack
  readonly #kubectl: Kubectl
  readonly #folder: TemporaryFolder
  readonly #image: string
  readonly #nodes: readonly string[]
  readonly #pods = new Set<string>()
  #changes = 0

  private constructor(
    owned: AsyncDisposableStack,
    parts: {
      name: string
      description: string
      kubeconfig: string
      tokenFile: string
      kubectl: Kubectl
      folder: TemporaryFolder
      image: string
      nodes: readonly string[]
    },
  ) {
    this.#owned = owned
    this.name = parts.name
    this.description = parts.description
    this.kubeconfig = parts.kubeconfig
    this.#kubectl = parts.kubectl
    this.#folder = parts.folder
    this.#image = parts.image
    this.#nodes = parts.nodes
    this.settings = {
      registrar: { NODE_PROXY_ADDRESS: '127.0.0.1', NAMESPACES: parts.name },
      // Most clusters' kubelets sign their certificates themselves; the token is one of this demo alone.
      proxy: { KUBELET_INSECURE_TLS: 'true', KUBELET_TOKEN_FILE: parts.tokenFile },
    }
  }

  /** Shows the context and asks. @throws Error when the answer is not yes, or kubectl fails */
  static async start({ context, image }: RealClusterOptions): Promise<RealCluster> {
    const kubectl: Kubectl = (args) =>
      run('kubectl', ['--kubeconfig', join(homedir(), '.kube', 'config'), '--context', context, ...args])
    const view = JSON.parse(
      await kubectl(['config', 'view', '--minify', '--flatten', '--raw', '-o', 'json']),
    ) as {
      clusters: readonly { cluster: { server: string } & Record<string, unknown> }[]
    }
    const cluster = view.clusters[0]?.cluster
    const server = cluster?.server ?? 'unknown'
    const name = `podsonar-demo-${randomBytes(3).toString('hex')}`
    await confirm(
      `Use the context ${context} (${server})? The demo makes the namespace and the cluster role ${name}, and removes both.`,
    )

    await using owned = new AsyncDisposableStack()
    const folder = owned.use(await TemporaryFolder.create('demo'))
    owned.defer(async () => {
      await kubectl(['delete', 'clusterrolebinding,clusterrole', name, '--ignore-not-found'])
      await kubectl(['delete', 'namespace', name, '--ignore-not-found'])
    })
    await apply(kubectl, folder, accessObjects(name))
    const token = await waitFor('the service account token', async () => {
      const encoded = await kubectl(['-n', name, 'get', 'secret', 'podsonar', '-o', 'jsonpath={.data.token}'])
      return encoded === '' ? undefined : Buffer.from(encoded, 'base64').toString()
    })
    const tokenFile = join(folder.path, 'token')
    await writeFile(tokenFile, token, { mode: 0o600 })
    const kubeconfig = join(folder.path, 'kubeconfig')
    await writeFile(kubeconfig, JSON.stringify(kubeconfigWith(token, cluster)), { mode: 0o600 })
    const nodes = (await kubectl(['get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}']))
      .split(' ')
      .filter((node) => node !== '')
    const description = `the cluster of context ${context}, ${nodes.length} nodes`
    const real = new RealCluster(owned.move(), {
      name,
      description,
      kubeconfig,
      tokenFile,
      kubectl,
      folder,
      image,
      nodes,
    })
    try {
      for (const pod of ['web-0', 'web-1']) await real.#add(pod)
    } catch (error) {
      await real[Symbol.asyncDispose]()
      throw error
    }
    return real
  }

  readonly expected = (): readonly string[] => [
    ...this.#nodes,
    ...[...this.#pods].map((pod) => `${this.name}/${pod}`),
  ]

  async change(): Promise<ClusterChange> {
    this.#changes += 1
    const kinds = ['goes', 'comes', 'moves'] as const
    const kind = kinds[this.#changes % kinds.length] ?? 'goes'
    const pod = kind === 'moves' ? 'web-0' : 'guest'
    if (kind !== 'comes') await this.#remove(pod)
    return {
      kind,
      subject: `${this.name}/${pod}`,
      address: kind === 'goes' ? undefined : await this.#add(pod),
    }
  }

  /** Creates a pod and waits for its address. */
  async #add(pod: string): Promise<string> {
    await apply(this.#kubectl, this.#folder, [
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: pod,
          namespace: this.name,
          annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': String(metricsPort) },
        },
        spec: {
          terminationGracePeriodSeconds: 0,
          automountServiceAccountToken: false,
          containers: [
            {
              name: 'web',
              image: this.#image,
              imagePullPolicy: 'IfNotPresent',
              command: ['sh', '-c', serveMetrics],
              ports: [{ containerPort: metricsPort }],
            },
          ],
        },
      },
    ])
    await this.#kubectl(['-n', this.name, 'wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=120s'])
    const ip = await this.#kubectl(['-n', this.name, 'get', 'pod', pod, '-o', 'jsonpath={.status.podIP}'])
    this.#pods.add(pod)
    return `${ip.includes(':') ? `[${ip}]` : ip}:${metricsPort}`
  }

  async #remove(pod: string): Promise<void> {
    await this.#kubectl(['-n', this.name, 'delete', 'pod', pod, '--wait=true'])
    this.#pods.delete(pod)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await step(`removing the namespace ${this.name}`, () => this.#owned.disposeAsync())
  }
}

/** @throws Error unless a person at a terminal says yes */
async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new Error('--cluster asks before it touches a cluster: start it from a terminal')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`${question}\nType yes to go on: `)
  terminal.close()
  if (answer.trim() !== 'yes') throw new Error('nothing was touched')
}

/** kubectl apply of objects, through a file since they are JSON and need no shell. */
async function apply(kubectl: Kubectl, folder: TemporaryFolder, items: readonly unknown[]): Promise<void> {
  const file = join(folder.path, 'objects.json')
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
  await kubectl(['apply', '-f', file])
}

/** Namespace, service account with a token, and the role: what podsonar needs, no more. */
function accessObjects(name: string): readonly unknown[] {
  const account = { name: 'podsonar', namespace: name }
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/service-account-token',
      metadata: { ...account, annotations: { 'kubernetes.io/service-account.name': 'podsonar' } },
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name },
      rules: [
        { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    },
  ]
}

/** A kubeconfig of the same cluster with the demo's token instead of the user's credentials. */
function kubeconfigWith(token: string, cluster: unknown): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'demo', cluster }],
    users: [{ name: 'podsonar', user: { token } }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'podsonar' } }],
    'current-context': 'demo',
  }
}
