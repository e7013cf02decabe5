import type { Conflict, HeldRemovals } from './core/plan.ts'
import type { ServiceKind, ServiceRecord } from './core/service.ts'
import type { Skipped } from './core/desired-set.ts'

/** One pass over the cluster and Consul, for people. */
export interface PassReport {
  readonly at: Date
  /** Whether Consul was read whole. */
  readonly full: boolean
  readonly durationMs: number
  readonly registered: number
  readonly updated: number
  readonly deregistered: number
  readonly failed: number
  /** Services that Consul would not take. */
  readonly refused: number
}

/** A service that Consul would not take. */
export interface Refusal {
  readonly id: string
  readonly error: string
}

/** What a registrar can tell of itself at any time. */
export interface RegistrarStatus {
  readonly clusterName: string
  /** Whether this replica is the one that writes. */
  readonly leading: boolean
  /** What should be registered. */
  readonly desired: ReadonlyMap<string, ServiceRecord>
  /** What Consul holds under IDs of ours, other clusters' included. */
  readonly actual: ReadonlyMap<string, ServiceRecord>
  /** How many services of Consul are ours. */
  readonly registered: Readonly<Record<ServiceKind, number>>
  readonly skipped: () => Iterable<Skipped>
  readonly notes: () => Iterable<{ readonly object: string; readonly note: string }>
  readonly droppedMeta: number
  readonly held: readonly HeldRemovals[]
  readonly conflicts: readonly Conflict[]
  readonly refused: readonly Refusal[]
  /** Newest first, at most ten. */
  readonly passes: readonly PassReport[]
  /** When the last full reconciliation succeeded. */
  readonly lastSuccess: Date | undefined
  readonly problem: string | undefined
}
