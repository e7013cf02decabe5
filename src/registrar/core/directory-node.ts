/** The Consul node that carries a cluster's services where no agent's node does: an external one. */
export interface DirectoryNode {
  readonly name: string
  readonly address: string
  readonly datacenter: string
  readonly meta: Readonly<Record<string, string>>
}

/** Every service has an address of its own, so nobody asks for the node's: one that leads nowhere (RFC 5737). */
const address = '192.0.2.1'
/** Consul's own default. */
const usualDatacenter = 'dc1'

/** The node of a cluster: `k8s-<cluster>`. Its metadata is never changed once it is written. */
export function directoryNode(clusterName: string, datacenter: string = usualDatacenter): DirectoryNode {
  const meta = { 'external-node': 'true', cluster_name: clusterName }
  return { name: `k8s-${clusterName}`, address, datacenter, meta }
}
