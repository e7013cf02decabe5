/**
 * What podsonar keeps of the API's objects: small plain records, so that 50,000 pods fit in little memory. Made from
 * API objects by the projections of this folder; everything above works on these alone.
 */

/** A container port as the pod declares it. */
export interface PortRecord {
  readonly name: string | undefined
  readonly port: number
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
}

export interface OwnerRecord {
  /** `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job`, `Node` … */
  readonly kind: string
  readonly name: string
}

/** A pod: v1.Pod, reduced. */
export interface PodRecord {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** `status.podIP`; undefined while there is none. */
  readonly ip: string | undefined
  /** What `status.podIPs` has beyond it: the other family's address of a dual-stack pod. */
  readonly otherIps: readonly string[]
  readonly hostNetwork: boolean
  readonly nodeName: string | undefined
  /** `status.phase`: Pending, Running, Succeeded, Failed or Unknown. */
  readonly phase: string
  /** The pod's Ready condition. */
  readonly ready: boolean
  /** `metadata.deletionTimestamp` is set: the pod is shutting down. */
  readonly terminating: boolean
  /** Only `prometheus.io/*`. */
  readonly annotations: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** Of all its containers, init containers left out, in the order of the spec. */
  readonly ports: readonly PortRecord[]
  /** The owner reference with `controller: true`. */
  readonly owner: OwnerRecord | undefined
}

/** A node: v1.Node, reduced. */
export interface NodeRecord {
  readonly uid: string
  readonly name: string
  /** Every address of type InternalIP, in the order of the status. */
  readonly internalIps: readonly string[]
  /** `status.daemonEndpoints.kubeletEndpoint.Port`, 10250 when absent. */
  readonly kubeletPort: number
  /** The node's Ready condition. */
  readonly ready: boolean
  readonly labels: Readonly<Record<string, string>>
}

/** A service of Kubernetes: v1.Service, reduced. */
export interface ServiceObjectRecord {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** Its virtual addresses; empty for a headless one. */
  readonly clusterIps: readonly string[]
}
