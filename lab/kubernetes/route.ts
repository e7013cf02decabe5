/** Which object or list a request is about. */
import { parseSelector } from './selectors.ts'
import type { Scope } from './store.ts'
import type { Subject } from './statuses.ts'
import type { Verb } from './faults.ts'

export interface Route extends Subject {
  readonly verb: Verb
  readonly scope: Scope
  readonly query: URLSearchParams
}

/** The resources that are served: plural → API group and kind. */
export const resources = {
  pods: { group: '', version: 'v1', kind: 'Pod' },
  nodes: { group: '', version: 'v1', kind: 'Node' },
  services: { group: '', version: 'v1', kind: 'Service' },
  leases: { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
} as const

export type Resource = keyof typeof resources

const pathPattern =
  /^(?:\/api\/v1|\/apis\/([^/]+)\/v1)(?:\/namespaces\/([^/]+))?\/(pods|nodes|services|leases)(?:\/([^/]+))?$/

/**
 * @returns undefined for a path that the server does not know
 * @throws Error for a selector that cannot be read
 */
export function parseRoute(
  method: string,
  url: string,
): (Route & { readonly resource: Resource }) | undefined {
  const { pathname, searchParams: query } = new URL(url, 'http://localhost')
  const match = pathPattern.exec(pathname)
  if (match === null) return undefined
  const [, group = '', namespace, plural, name] = match
  const resource = plural as Resource
  const verb = verbOf(method, name, query)
  if (resources[resource].group !== group || verb === undefined) return undefined
  const scope = {
    namespace,
    labels: parseSelector(query.get('labelSelector') ?? ''),
    fields: parseSelector(query.get('fieldSelector') ?? ''),
  }
  return { verb, resource, group, namespace, name, scope, query }
}

function verbOf(method: string, name: string | undefined, query: URLSearchParams): Verb | undefined {
  if (method === 'POST' && name === undefined) return 'create'
  if (method === 'PUT' && name !== undefined) return 'update'
  if (method !== 'GET') return undefined
  if (name !== undefined) return 'get'
  return ['true', '1'].includes(query.get('watch') ?? '') ? 'watch' : 'list'
}
