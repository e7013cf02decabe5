/** Kubeconfig files (v1 Config), read and merged as kubectl does. */
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { describeError } from '../common/errors.ts'

export interface KubeconfigCluster {
  readonly server?: string
  readonly 'certificate-authority'?: string
  readonly 'certificate-authority-data'?: string
  readonly 'insecure-skip-tls-verify'?: boolean
  readonly 'tls-server-name'?: string
  readonly 'proxy-url'?: string
}

export interface KubeconfigUser {
  readonly token?: string
  readonly tokenFile?: string
  readonly username?: string
  readonly password?: string
  readonly 'client-certificate'?: string
  readonly 'client-certificate-data'?: string
  readonly 'client-key'?: string
  readonly 'client-key-data'?: string
  readonly as?: string
  readonly exec?: object
  readonly 'auth-provider'?: object
}

interface KubeconfigContext {
  readonly cluster?: string
  readonly user?: string
  readonly namespace?: string
}

/** What the current context stands for. Paths of files are absolute. */
export interface Kubeconfig {
  readonly clusterName: string
  readonly cluster: KubeconfigCluster
  readonly user: KubeconfigUser
  readonly namespace: string | undefined
}

/** An entry of `clusters`, `users` or `contexts`: its name, and its content under `cluster`, `user` or `context`. */
interface Entry {
  readonly name?: string
  readonly cluster?: KubeconfigCluster | null
  readonly user?: KubeconfigUser | null
  readonly context?: KubeconfigContext | null
}

interface ConfigFile {
  readonly 'current-context'?: string
  readonly clusters?: readonly Entry[] | null
  readonly users?: readonly Entry[] | null
  readonly contexts?: readonly Entry[] | null
}

/**
 * Reads the files of KUBECONFIG, separated as PATH is: the first to define a name or the current context wins, and those that
 * do not exist are left out unless none does.
 *
 * @throws Error with what is wrong, as half a sentence: `it has no current-context`
 */
export function readKubeconfig(paths: string): Kubeconfig {
  const listed = paths.split(delimiter).filter((path) => path !== '')
  const there = listed.filter((path) => existsSync(path))
  const files = (there.length === 0 ? listed : there).map(readConfigFile)

  const name = files.map((file) => file['current-context']).find((one) => one !== undefined && one !== '')
  if (name === undefined) throw new Error('it has no current-context')
  const context = lookUp(files, 'contexts', name)?.context ?? undefined
  if (context === undefined) throw new Error(`its current-context ${name} is not among its contexts`)
  const { cluster: clusterName = '', user: userName = '', namespace } = context
  const cluster = lookUp(files, 'clusters', clusterName)?.cluster ?? undefined
  if (cluster === undefined)
    throw new Error(`the cluster ${clusterName} of context ${name} is not among its clusters`)
  const user = lookUp(files, 'users', userName)?.user ?? undefined
  if (user === undefined) throw new Error(`the user ${userName} of context ${name} is not among its users`)
  return { clusterName, cluster, user, namespace: namespace === '' ? undefined : namespace }
}

function readConfigFile(path: string): ConfigFile {
  let content: unknown
  try {
    content = parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new Error(describeError(error).split('\n', 1)[0] ?? 'it is not readable', { cause: error })
  }
  if (typeof content !== 'object' || content === null) throw new Error('it is empty or no mapping')
  const file = content as ConfigFile
  const absolute = <T extends object>(value: T, keys: readonly (keyof T)[]): T => {
    const copy = { ...value }
    for (const key of keys) {
      const given = value[key]
      if (typeof given === 'string' && given !== '') copy[key] = resolve(dirname(path), given) as T[keyof T]
    }
    return copy
  }
  const clusters = (file.clusters ?? []).map(({ cluster, ...entry }) => ({
    ...entry,
    cluster: absolute(cluster ?? {}, ['certificate-authority']),
  }))
  const users = (file.users ?? []).map(({ user, ...entry }) => ({
    ...entry,
    user: absolute(user ?? {}, ['client-certificate', 'client-key', 'tokenFile']),
  }))
  return { ...file, clusters, users }
}

/** The first entry of that name. */
function lookUp(
  files: readonly ConfigFile[],
  list: 'clusters' | 'users' | 'contexts',
  name: string,
): Entry | undefined {
  return files.flatMap((file) => file[list] ?? []).find((entry) => entry.name === name)
}
