import { isLoopback, isNotAMachine } from '../../common/ip.ts'
import type { NodeRecord } from '../../kubernetes/records.ts'
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
  const refused = isNotAMachine(route.address) || (isLoopback(route.address) && !rules.allowLoopback)
  if (node === undefined || refused)
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
