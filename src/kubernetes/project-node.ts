import { identityOf, isReady, type ApiNode } from './api-objects.ts'
import type { NodeRecord } from './records.ts'

/** The kubelet's port where a node does not say. */
const usualKubeletPort = 10_250

/**
 * Keeps of a v1.Node, as JSON of a list or watch, what podsonar uses. Pure.
 *
 * @throws Error when it has no name or UID
 */
export function projectNode(object: unknown): NodeRecord {
  const { metadata, status } = object as ApiNode
  const { uid, name } = identityOf('node', metadata)
  const addresses = status?.addresses ?? []
  return {
    uid,
    name,
    internalIps: addresses.filter(({ type }) => type === 'InternalIP').map(({ address }) => address),
    kubeletPort: status?.daemonEndpoints?.kubeletEndpoint?.Port ?? usualKubeletPort,
    ready: isReady(status?.conditions),
    labels: metadata?.labels ?? {},
  }
}
