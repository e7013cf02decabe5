/** How requests are let in by the API server. */
import { readFileSync } from 'node:fs'
import type { OutgoingHttpHeaders } from 'node:http'
import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import type { Kubeconfig, KubeconfigUser } from './kubeconfig.ts'
import { TokenFile } from './token-file.ts'

/** What goes into a request of node:http. */
export type Credentials = Omit<RequestOptions, 'headers'> & { readonly headers?: OutgoingHttpHeaders }

export interface Authenticator {
  /** TLS options and headers, made anew for each request: certificates and tokens are renewed while we run. */
  authenticate(): Promise<Credentials>
  /** The server answered 401. */
  refused(): void
}

/** By the service account of a pod. */
export function accountAuthenticator(tokenPath: string, caPath: string): Authenticator {
  const token = new TokenFile(tokenPath)
  return {
    authenticate: () =>
      Promise.resolve({ ca: readFileSync(caPath), headers: { authorization: `Bearer ${token.get()}` } }),
    refused: () => {
      token.refused()
    },
  }
}

/**
 * By a kubeconfig. What stands in it as it is, is used as it is; plugins, providers and proxies are left to client-node, which
 * takes 80 MB of memory and a third of a second to load, and is loaded for them alone.
 */
export function kubeconfigAuthenticator(kubeconfig: Kubeconfig): Authenticator {
  const { cluster, user } = kubeconfig
  const needsLibrary =
    user.exec !== undefined || user['auth-provider'] !== undefined || cluster['proxy-url'] !== undefined
  return needsLibrary ? libraryAuthenticator(kubeconfig) : plainAuthenticator(kubeconfig)
}

function plainAuthenticator({ cluster, user }: Kubeconfig): Authenticator {
  const tokenFile = user.tokenFile === undefined ? undefined : new TokenFile(user.tokenFile)
  const tls = (): RequestOptions => {
    const ca = content(cluster['certificate-authority'], cluster['certificate-authority-data'])
    const cert = content(user['client-certificate'], user['client-certificate-data'])
    const key = content(user['client-key'], user['client-key-data'])
    const servername = cluster['tls-server-name']
    return {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
      ...(cluster['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
    }
  }
  return {
    authenticate: () => {
      const authorization = authorizationOf(user, tokenFile)
      const headers = {
        ...(authorization === undefined ? {} : { authorization }),
        ...(user.as === undefined ? {} : { 'impersonate-user': user.as }),
      }
      return Promise.resolve({ ...tls(), headers })
    },
    refused: () => {
      tokenFile?.refused()
    },
  }
}

/** As in client-go, the file wins over the value. */
function authorizationOf(user: KubeconfigUser, tokenFile: TokenFile | undefined): string | undefined {
  const token = tokenFile?.get() ?? user.token
  if (token !== undefined && token !== '') return `Bearer ${token}`
  if (user.username === undefined) return undefined
  return `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`
}

/** As in client-go, the value wins over the file. */
function content(file: string | undefined, base64: string | undefined): Buffer | undefined {
  if (base64 !== undefined && base64 !== '') return Buffer.from(base64, 'base64')
  return file === undefined || file === '' ? undefined : readFileSync(file)
}

function libraryAuthenticator(kubeconfig: Kubeconfig): Authenticator {
  const proxied = kubeconfig.cluster['proxy-url'] !== undefined
  let loading: Promise<KubeConfig> | undefined
  return {
    authenticate: async () => {
      const config = await (loading ??= loadLibrary(kubeconfig))
      const options: RequestOptions & { headers: OutgoingHttpHeaders } = { headers: {} }
      await config.applyToHTTPSOptions(options)
      // The library's agent keeps the certificates it first saw and no connections; only the one for a proxy is needed.
      if (!proxied) delete options.agent
      return options
    },
    refused: () => undefined,
  }
}

async function loadLibrary({ cluster, clusterName, user, namespace }: Kubeconfig): Promise<KubeConfig> {
  const library = await import('@kubernetes/client-node')
  const config = new library.KubeConfig()
  // The library asks for `insecure-skip-tls-verify` before it speaks plain HTTP, kubectl does not.
  const plain = cluster.server?.startsWith('http:') === true ? { 'insecure-skip-tls-verify': true } : {}
  const context = { cluster: clusterName, user: 'user', ...(namespace === undefined ? {} : { namespace }) }
  const text = {
    clusters: [{ name: clusterName, cluster: { ...cluster, ...plain } }],
    users: [{ name: 'user', user }],
    contexts: [{ name: 'context', context }],
    'current-context': 'context',
  }
  config.loadFromString(JSON.stringify(text))
  return config
}
