import { canonicalIp, isLoopback, isNotAMachine } from '../../common/ip.ts'
import type { NodeRecord, PodRecord } from '../../kubernetes/records.ts'
import { scrapeTarget } from '../../kubernetes/scrape-target.ts'
import { Refusal } from './refusal.ts'
import type { Route } from './route.ts'

/** What the proxy would dial: nothing here comes from the client as it is. */
export interface Target {
  /** The node's or pod's name, for metrics, the page and logs. */
  readonly label: string
  readonly scheme: 'http' | 'https'
  /** Canonical IP address. */
  readonly address: string
  readonly port: number
  /** Path and query. */
  readonly path: string
  /** The name that the server's certificate may have instead of its address. */
  readonly certificateName: string
  /** Whether it is a kubelet, and so gets the token. */
  readonly isKubelet: boolean
}

export interface NodeRules {
  /** The kubelet's paths that may be scraped. */
  readonly paths: ReadonlySet<string>
  /** Let loopback addresses pass, where a node has one. */
  readonly allowLoopback: boolean
}

/**
 * Decides on a scrape of a node.
 *
 * @param node the node that has the route's address, if one is known
 * @throws Refusal not_found, unknown_node or port_not_allowed
 */
export function allowNode(
  route: Extract<Route, { kind: 'node' }>,
  node: NodeRecord | undefined,
  rules: NodeRules,
): Target {
  if (!rules.paths.has(route.path))
    throw new Refusal(
      'not_found',
      `The node path is not served, expected one of ${[...rules.paths].join(' ')}`,
    )
  if (node === undefined || !isDialable(route.address, rules.allowLoopback))
    throw new Refusal('unknown_node', `No known node has the address ${route.address}`)
  if (route.port !== node.kubeletPort)
    throw new Refusal(
      'port_not_allowed',
      `Port ${route.port} of node ${node.name} may not be scraped, expected its kubelet's, ${node.kubeletPort}`,
    )
  return {
    label: node.name,
    scheme: 'https',
    address: route.address,
    port: node.kubeletPort,
    path: route.path,
    certificateName: node.name,
    isKubelet: true,
  }
}

/**
 * Decides on a scrape of a pod by the rules that the registrar registers by: only the ports and the path that the pod
 * declares. What is asked of the pod is what it declares too, parameters included; the client's query is not.
 *
 * @param pod the pod of the route's name, if one is known
 * @throws Refusal unknown_pod, port_not_allowed or path_not_allowed
 */
export function allowPod(
  route: Extract<Route, { kind: 'pod' }>,
  pod: PodRecord | undefined,
  { allowLoopback }: Pick<NodeRules, 'allowLoopback'>,
): Target {
  const label = `${route.namespace}/${route.pod}`
  const target = pod === undefined ? undefined : scrapeTarget(pod)
  const address = target?.kind === 'target' ? canonicalIp(target.ip) : undefined
  if (target?.kind !== 'target' || address === undefined || !isDialable(address, allowLoopback))
    throw new Refusal('unknown_pod', `No pod ${label} is a scrape target`)
  if (!target.ports.includes(route.port))
    throw new Refusal(
      'port_not_allowed',
      `Port ${route.port} of pod ${label} may not be scraped, expected one of ${target.ports.join(', ')}`,
    )
  if (route.path !== target.path)
    throw new Refusal(
      'path_not_allowed',
      `This path of pod ${label} may not be scraped, expected the one that it declares`,
    )
  const query = new URLSearchParams(target.params).toString()
  return {
    label,
    scheme: target.scheme,
    address,
    port: route.port,
    path: query === '' ? target.path : `${target.path}?${query}`,
    certificateName: '',
    isKubelet: false,
  }
}

function isDialable(address: string, allowLoopback: boolean): boolean {
  return !isNotAMachine(address) && (allowLoopback || !isLoopback(address))
}
