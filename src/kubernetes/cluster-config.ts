import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describeError, SettingsError } from '../common/errors.ts'
import { inClusterServer } from '../config/in-cluster.ts'
import { accountAuthenticator, kubeconfigAuthenticator, type Authenticator } from './credentials.ts'
import { readKubeconfig, type Kubeconfig } from './kubeconfig.ts'

/** Where the API server is and how to be let in. */
export interface ClusterConfig extends Authenticator {
  /** `https://10.0.0.1:6443`, with the path of a proxy in front if there is one. */
  readonly server: URL
  /** Where that was found, for logs: a file name or `service account`. */
  readonly origin: string
  /** The namespace of the current context or the service account: where this program's own objects live. */
  readonly namespace: string
}

export interface ConfigPlaces {
  /** KUBECONFIG: one file, or several as in PATH. */
  readonly kubeconfig?: string | undefined
  /** The user's home folder. @default that of the system */
  readonly home?: string
  /** What is put before /var/run/secrets and /etc/kubernetes. @default '' */
  readonly root?: string
}

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount'
const adminConfig = '/etc/kubernetes/admin.conf'

/**
 * Finds the cluster: KUBECONFIG; else the pod's service account; else ~/.kube/config; else /etc/kubernetes/admin.conf.
 *
 * @throws SettingsError when there is none or it makes no sense
 */
export function loadClusterConfig({ kubeconfig, home = homedir(), root = '' }: ConfigPlaces): ClusterConfig {
  if (kubeconfig !== undefined) return fromFile(kubeconfig)
  const account = root + serviceAccount
  if (existsSync(`${account}/token`)) return fromServiceAccount(account)
  const files = [join(home, '.kube', 'config'), root + adminConfig]
  const file = files.find((path) => existsSync(path))
  if (file !== undefined) return fromFile(file)
  throw new SettingsError([
    `KUBECONFIG is not set and there is neither a service account (${account}/token) nor ` +
      `${files.join(' nor ')}, expected the path of a kubeconfig file`,
  ])
}

function fromFile(file: string): ClusterConfig {
  const unusable = (why: string): SettingsError =>
    new SettingsError([
      `KUBECONFIG: cannot use ${file}: ${why}, expected a kubeconfig with a current context`,
    ])
  let kubeconfig: Kubeconfig
  try {
    kubeconfig = readKubeconfig(file)
  } catch (error) {
    throw unusable(describeError(error))
  }
  const { clusterName, cluster, namespace = 'default' } = kubeconfig
  const server = parseServer(cluster.server ?? '')
  if (server === undefined)
    throw unusable(`the server ${cluster.server ?? ''} of cluster ${clusterName} is not a URL`)
  return { server, origin: file, namespace, ...kubeconfigAuthenticator(kubeconfig) }
}

function fromServiceAccount(account: string): ClusterConfig {
  const server = parseServer(inClusterServer() ?? '')
  if (server === undefined) {
    throw new SettingsError([
      `KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name the API server, expected them set as in every pod, or KUBECONFIG`,
    ])
  }
  const namespaceFile = `${account}/namespace`
  const namespace = existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : ''
  return {
    server,
    origin: 'service account',
    namespace: namespace === '' ? 'default' : namespace,
    ...accountAuthenticator(`${account}/token`, `${account}/ca.crt`),
  }
}

function parseServer(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url : undefined
}
