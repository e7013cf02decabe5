import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { OutgoingHttpHeaders } from 'node:http'
import type { RequestOptions } from 'node:https'
import { KubeConfig } from '@kubernetes/client-node'
import { describeError, SettingsError } from '../common/errors.ts'
import { TokenFile } from './token-file.ts'

/** Where the API server is and how to be let in. */
export interface ClusterConfig {
  /** `https://10.0.0.1:6443`, with the path of a proxy in front if there is one. */
  readonly server: URL
  /** Where that was found, for logs: a file name or `service account`. */
  readonly origin: string
  /** The namespace of the current context or the service account: where this program's own objects live. */
  readonly namespace: string
  /** TLS options and headers, made anew for each request: certificates and tokens are renewed while we run. */
  authenticate(): Promise<Credentials>
  /** The server answered 401. */
  refused(): void
}

/** What goes into a request of node:http. */
type Credentials = Omit<RequestOptions, 'headers'> & { readonly headers?: OutgoingHttpHeaders }

export interface ConfigPlaces {
  /** KUBECONFIG. */
  readonly kubeconfig?: string | undefined
  /** The user's home folder. @default that of the system */
  readonly home?: string
  /** What is put before /var/run/secrets and /etc/kubernetes. @default '' */
  readonly root?: string
}

const serviceAccountToken = '/var/run/secrets/kubernetes.io/serviceaccount/token'
const adminConfig = '/etc/kubernetes/admin.conf'

/**
 * Finds the cluster: KUBECONFIG; else the pod's service account; else ~/.kube/config; else /etc/kubernetes/admin.conf.
 *
 * @throws SettingsError when there is none or it makes no sense
 */
export function loadClusterConfig({ kubeconfig, home = homedir(), root = '' }: ConfigPlaces): ClusterConfig {
  if (kubeconfig !== undefined) return fromFile(kubeconfig)
  if (existsSync(root + serviceAccountToken)) return fromServiceAccount(root)
  const files = [join(home, '.kube', 'config'), root + adminConfig]
  const file = files.find((path) => existsSync(path))
  if (file !== undefined) return fromFile(file)
  throw new SettingsError([
    `KUBECONFIG is not set and there is neither a service account (${root}${serviceAccountToken}) nor ` +
      `${files.join(' nor ')}, expected the path of a kubeconfig file`,
  ])
}

function fromFile(file: string): ClusterConfig {
  const config = new KubeConfig()
  const unusable = (why: string): SettingsError =>
    new SettingsError([
      `KUBECONFIG: cannot use ${file}: ${why}, expected a kubeconfig with a current context`,
    ])
  try {
    config.loadFromFile(file)
  } catch (error) {
    throw unusable(describeError(error).split('\n', 1)[0] ?? 'it is not readable')
  }
  const name = config.getCurrentContext() as string | undefined
  if (name === undefined || name === '') throw unusable('it has no current-context')
  const context = config.getContextObject(name)
  if (context === null) throw unusable(`its current-context ${name} is not among its contexts`)
  const cluster = config.getCurrentCluster()
  if (cluster === null)
    throw unusable(`the cluster ${context.cluster} of context ${name} is not among its clusters`)
  if (config.getCurrentUser() === null)
    throw unusable(`the user ${context.user} of context ${name} is not among its users`)
  const server = parseServer(cluster.server)
  if (server === undefined)
    throw unusable(`the server ${cluster.server} of cluster ${cluster.name} is not a URL`)
  if (server.protocol === 'http:') allowPlainHttp(config)
  return clusterConfig(config, server, file, context.namespace, undefined)
}

function fromServiceAccount(root: string): ClusterConfig {
  const config = new KubeConfig()
  config.loadFromCluster(root)
  const text = config.getCurrentCluster()?.server ?? ''
  const server = /undefined/.test(text) ? undefined : parseServer(text)
  if (server === undefined) {
    throw new SettingsError([
      `KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name the API server, expected them set as in every pod, or KUBECONFIG`,
    ])
  }
  const { namespace } = config.getContextObject(config.getCurrentContext()) ?? {}
  return clusterConfig(
    config,
    server,
    'service account',
    namespace,
    new TokenFile(root + serviceAccountToken),
  )
}

function clusterConfig(
  config: KubeConfig,
  server: URL,
  origin: string,
  namespace: string | undefined,
  tokenFile: TokenFile | undefined,
): ClusterConfig {
  const proxied = config.getCurrentCluster()?.proxyUrl !== undefined
  return {
    server,
    origin,
    namespace: namespace?.trim() ?? 'default',
    authenticate: async () => {
      const options: RequestOptions & { headers: OutgoingHttpHeaders } = { headers: {} }
      await config.applyToHTTPSOptions(options)
      // The library's agent keeps the certificates it first saw and no connections; only the one for a proxy is needed.
      if (!proxied) delete options.agent
      if (tokenFile !== undefined) options.headers = { authorization: `Bearer ${tokenFile.get()}` }
      return options
    },
    refused: () => tokenFile?.refused(),
  }
}

function parseServer(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url : undefined
}

/** The library asks for `insecure-skip-tls-verify` before it speaks plain HTTP (kubectl proxy), kubectl does not. */
function allowPlainHttp(config: KubeConfig): void {
  config.loadFromOptions({
    clusters: config.clusters.map((cluster) => ({ ...cluster, skipTLSVerify: true })),
    users: config.users,
    contexts: config.contexts,
    currentContext: config.currentContext,
  })
}
