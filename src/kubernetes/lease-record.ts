/**
 * coordination.k8s.io/v1 Lease, as far as leader election uses it, in the way of client-go: holders of both kinds respect each
 * other. Pure.
 */

/** A lease as it stands at the API server. */
export interface LeaseRecord {
  /** For the next update: it fails when somebody else was faster. */
  readonly resourceVersion: string
  /** Undefined: nobody's, it was released. */
  readonly holder: string | undefined
  /** How long after its last renewal it must be respected. */
  readonly durationMs: number
  /** When the holder got it, as written there. */
  readonly acquireTime: string | undefined
  /** Changes with each renewal. By the holder's clock: only ever compared for equality. */
  readonly renewTime: string | undefined
  /** How often it changed hands. */
  readonly transitions: number
}

interface ApiLease {
  readonly metadata?: { readonly resourceVersion?: string }
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

/** @throws Error for what is no Lease */
export function parseLease(object: unknown): LeaseRecord {
  const { metadata, spec = {} } = object as ApiLease
  const resourceVersion = metadata?.resourceVersion
  if (resourceVersion === undefined)
    throw new Error('Cannot read a lease: it has no metadata.resourceVersion')
  return {
    resourceVersion,
    holder: spec.holderIdentity === '' ? undefined : spec.holderIdentity,
    durationMs: (spec.leaseDurationSeconds ?? 0) * 1_000,
    acquireTime: spec.acquireTime,
    renewTime: spec.renewTime,
    transitions: spec.leaseTransitions ?? 0,
  }
}

/** A lease as one looks at it over time. */
export interface Observation {
  readonly lease: LeaseRecord
  /** When it was first seen as it is, by a clock of our own that never steps. */
  readonly sinceMs: number
}

/** Takes what was read now. Whoever wrote it and whatever its times say, it counts from when it was first seen so. */
export function observe(known: Observation | undefined, lease: LeaseRecord, nowMs: number): Observation {
  const same =
    known?.lease.resourceVersion === lease.resourceVersion && known.lease.renewTime === lease.renewTime
  return same ? known : { lease, sinceMs: nowMs }
}

/** When the lease may be taken by `identity`, by the same clock. */
export function takeableAt({ lease, sinceMs }: Observation, identity: string): number {
  if (lease.holder === undefined || lease.holder === identity) return Number.NEGATIVE_INFINITY
  return sinceMs + lease.durationMs
}

export interface LeaseClaim {
  readonly namespace: string
  readonly name: string
  readonly identity: string
  readonly durationMs: number
  readonly now: Date
}

/** The body that creates, takes or renews a lease. `previous`: as it was read, undefined when there is none. */
export function claimLease(
  previous: LeaseRecord | undefined,
  { namespace, name, identity, durationMs, now }: LeaseClaim,
): object {
  const time = microTime(now)
  const renewal = previous?.holder === identity
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace, name, ...versionOf(previous) },
    spec: {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(durationMs / 1_000),
      acquireTime: renewal ? (previous.acquireTime ?? time) : time,
      renewTime: time,
      leaseTransitions: (previous?.transitions ?? 0) + (renewal || previous === undefined ? 0 : 1),
    },
  }
}

/** The body that gives a lease up, so that the next one need not wait. */
export function releaseLease(previous: LeaseRecord, namespace: string, name: string, now: Date): object {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace, name, ...versionOf(previous) },
    spec: {
      holderIdentity: '',
      // Nobody holds it, but a duration of zero is not valid.
      leaseDurationSeconds: 1,
      acquireTime: previous.acquireTime,
      renewTime: microTime(now),
      leaseTransitions: previous.transitions,
    },
  }
}

function versionOf(lease: LeaseRecord | undefined): object {
  return lease === undefined ? {} : { resourceVersion: lease.resourceVersion }
}

/** metav1.MicroTime: six digits of a second, or the API server refuses it. */
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
