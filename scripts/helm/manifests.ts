/** What the kustomize base says, from which the chart's defaults are taken: so that a number is written down once. */
import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'

interface Workload {
  readonly spec: {
    readonly replicas?: number
    readonly updateStrategy?: { readonly rollingUpdate?: { readonly maxUnavailable?: string } }
    readonly template: {
      readonly spec: {
        readonly nodeSelector?: Readonly<Record<string, string>>
        readonly tolerations?: readonly unknown[]
        readonly containers: readonly {
          readonly name: string
          readonly image: string
          readonly resources: Readonly<Record<string, unknown>>
        }[]
      }
    }
  }
}

const folder = new URL('../../deploy/kubernetes/', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, folder), 'utf8')

/**
 * A Deployment or DaemonSet, in a file of its own.
 *
 * @param path below deploy/kubernetes
 */
export function workload(path: string): Workload {
  const [document] = parseAllDocuments(read(path))
  return document?.toJS() as Workload
}

/** The container that a workload is about: the first one. */
export function container(of: Workload): Workload['spec']['template']['spec']['containers'][number] {
  const [first] = of.spec.template.spec.containers
  if (first === undefined) throw new Error('Cannot read a workload: it has no container')
  return first
}

/** The variables of an .env file. */
export function environmentFile(path: string): Record<string, string> {
  const lines = read(path).matchAll(/^([A-Z_]+)=(.*)$/gm)
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]))
}

/** The port at which a Service is published on every node. */
export function nodePort(path: string): number {
  const [, port = ''] = /^\s+nodePort: (\d+)$/m.exec(read(path)) ?? []
  return Number(port)
}
