/** Somebody who may do little, on the real test cluster. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { chainSettings, cluster } from './chain.ts'

interface Kubeconfig {
  readonly clusters: readonly { readonly name: string; readonly cluster: object }[]
}

/**
 * Writes a kubeconfig for a service account, by a token of its own.
 *
 * @returns its path, inside `folder`
 */
export async function kubeconfigOf(folder: string, namespace: string, account: string): Promise<string> {
  const { clusters } = parse(await readFile(chainSettings.kubeconfig, 'utf8')) as Kubeconfig
  const token = (await cluster(['-n', namespace, 'create', 'token', account])).trim()
  const file = join(folder, `${account}.kubeconfig`)
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', clusters, users: [{ name: account, user: { token } }] },
    contexts: [{ name: account, context: { cluster: clusters[0]?.name, user: account } }],
    'current-context': account,
  }
  await writeFile(file, stringify(config), { mode: 0o600 })
  return file
}
