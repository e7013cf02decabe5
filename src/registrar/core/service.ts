/**
 * A service as the registrar wants it and as Consul has it. Both sides are this one record, so that a plan is a
 * comparison.
 */

/** One service instance: what Consul calls a service ID and everything registered under it. */
export interface ServiceRecord {
  /** Unique within a Consul node: `pod--default--web-0`, `node--10.0.0.1`. Never parsed: `meta` says what it is. */
  readonly id: string
  /** What consumers ask for; many instances may share it. */
  readonly name: string
  /** IPv4, IPv6 (without brackets) or a host name. */
  readonly address: string
  readonly port: number
  readonly tags: readonly string[]
  /** Within Consul's limits: see limits.ts. `cluster_name` is the mark of ownership. */
  readonly meta: Readonly<Record<string, string>>
}

/** A service as read from Consul. */
export interface ActualService extends ServiceRecord {
  /** The name of the Consul node that it is registered on. */
  readonly node: string
}

/** What a service stands for. Counted and guarded separately. */
export type ServiceKind = 'pod' | 'node'

/** How the IDs of each kind begin. */
export const idPrefixes: Readonly<Record<ServiceKind, string>> = { pod: 'pod--', node: 'node--' }

/** The kind that an ID's prefix stands for; undefined: nothing that a registrar made. */
export function kindOf(id: string): ServiceKind | undefined {
  if (id.startsWith(idPrefixes.pod)) return 'pod'
  return id.startsWith(idPrefixes.node) ? 'node' : undefined
}

/** The tag of every service of ours: consumers may select by it. */
export const ownTag = 'podsonar'

/** The value of meta `managed_by`. What the seed program left has none. */
export const managedBy = 'podsonar'

/** The ID and name of the service by which a registrar says that it is alive. */
export const heartbeatName = 'podsonar-registrar'
