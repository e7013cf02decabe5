/** The plan: what one reconciliation would change. Pure data, made by {@link PlanBuilder}, printed by print-plan.ts. */
import { addressGraceReason } from './address-grace.ts'
import { decide, isReadyOnly, type Policy } from './decide.ts'
import type { Evidence, Guard } from './guard.ts'
import { kindOf, type ServiceKind, type ServiceRecord } from './service.ts'

export interface PlannedUpdate {
  readonly service: ServiceRecord
  /** What differs: `address`, `meta.ready` … */
  readonly changed: readonly string[]
}

export interface HeldRemovals {
  readonly kind: ServiceKind
  readonly services: readonly ServiceRecord[]
  readonly reason: string
}

export interface Conflict {
  readonly service: ServiceRecord
  /** The `cluster_name` that the ID carries in Consul; empty when it has none. */
  readonly owner: string
}

/** Applied in this order: what is registered and updated comes before what is removed. */
export interface Plan {
  readonly register: readonly ServiceRecord[]
  readonly update: readonly PlannedUpdate[]
  readonly deregister: readonly ServiceRecord[]
  /** Removals that the guard holds, or that wait for an address; a kind may have both. */
  readonly held: readonly HeldRemovals[]
  /** Updates of readiness alone that wait for their turn. */
  readonly deferred: readonly PlannedUpdate[]
  readonly conflicts: readonly Conflict[]
}

export interface PlanOptions {
  readonly clusterName: string
  readonly policy: Policy
  readonly guard: Guard
  /** Whether an update of readiness alone may be written now. */
  readonly readyDue: (id: string) => boolean
}

const kinds: readonly ServiceKind[] = ['pod', 'node']

/** Collects decisions, ID by ID, so that a caller with many can pause in between. */
export class PlanBuilder {
  readonly #options: PlanOptions
  readonly #register: ServiceRecord[] = []
  readonly #update: PlannedUpdate[] = []
  readonly #deferred: PlannedUpdate[] = []
  readonly #conflicts: Conflict[] = []
  readonly #removals: Record<ServiceKind, ServiceRecord[]> = { pod: [], node: [] }
  readonly #waiting: Record<ServiceKind, ServiceRecord[]> = { pod: [], node: [] }

  constructor(options: PlanOptions) {
    this.#options = options
  }

  add(desired: ServiceRecord | undefined, actual: ServiceRecord | undefined): void {
    const decision = decide(desired, actual, this.#options)
    switch (decision.type) {
      case 'none':
        return
      case 'register':
        this.#register.push(decision.service)
        return
      case 'update': {
        const waits = isReadyOnly(decision.changed) && !this.#options.readyDue(decision.service.id)
        const target = waits ? this.#deferred : this.#update
        target.push({ service: decision.service, changed: decision.changed })
        return
      }
      case 'conflict':
        this.#conflicts.push({ service: decision.service, owner: decision.owner })
        return
      case 'deregister': {
        const kind = kindOf(decision.service.id)
        if (kind !== undefined) this.#removals[kind].push(decision.service)
      }
    }
  }

  /** What is not wanted, but stays while its object waits for an address. */
  addWaiting(actual: ServiceRecord): void {
    const kind = kindOf(actual.id)
    if (kind !== undefined && decide(undefined, actual, this.#options).type === 'deregister')
      this.#waiting[kind].push(actual)
  }

  /** @param registered how many services of each kind are ours in Consul */
  finish(registered: Readonly<Record<ServiceKind, number>>, evidence: Evidence): Plan {
    const deregister: ServiceRecord[] = []
    const held: HeldRemovals[] = []
    for (const kind of kinds) {
      const services = this.#removals[kind]
      const waiting = this.#waiting[kind]
      // Many that lose their addresses one after the other are a mass loss all the same.
      const ids = [...services, ...waiting].map(({ id }) => id)
      const verdict = this.#options.guard.judge(kind, ids, registered[kind], evidence)
      if (verdict.allowed) deregister.push(...services)
      else if (services.length > 0) held.push({ kind, services, reason: verdict.reason })
      if (waiting.length > 0) held.push({ kind, services: waiting, reason: addressGraceReason })
    }
    return {
      register: this.#register,
      update: this.#update,
      deregister,
      held,
      deferred: this.#deferred,
      conflicts: this.#conflicts,
    }
  }
}

/** How many writes a plan asks for. */
export function planSize({ register, update, deregister }: Plan): number {
  return register.length + update.length + deregister.length
}
