/** kubectl 1.32 with kustomize 5.5, from Debian trixie: what it prints, what it does to a cluster. */
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { cacheFolder } from './files.ts'
import { unpacked } from './needs.ts'
import { run } from './process.ts'

/** A Kubernetes object, as far as everything that handles objects of any kind has to know. */
export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly [field: string]: unknown
}

/**
 * Runs kubectl with a kubeconfig that is named, never with the user's own.
 *
 * @param kubeconfig undefined for what needs no cluster
 * @throws Error with what it wrote to stderr
 */
export async function kubectl(args: readonly string[], kubeconfig?: string): Promise<string> {
  const program = join(await unpacked('kubectl'), 'usr/bin/kubectl')
  // It caches what a server knows below HOME.
  const env = { PATH: process.env['PATH'], HOME: cacheFolder, KUBECONFIG: kubeconfig ?? '/dev/null' }
  return run(program, args, { env })
}

/** What `kubectl kustomize FOLDER` gives, in the order in which it is to be applied. */
export async function renderKustomization(folder: string): Promise<KubernetesObject[]> {
  return parseAllDocuments(await kubectl(['kustomize', folder])).map(
    (document) => document.toJS() as KubernetesObject,
  )
}
