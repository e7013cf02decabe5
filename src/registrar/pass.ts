/** The steps of one reconciliation: read Consul, plan, apply. What they share is the {@link ActualSet}. */
import { describeError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import { TimeSlice } from '../common/time-slice.ts'
import { ActualSet } from './actual-set.ts'
import type { ClusterView } from './cluster-view.ts'
import type { Operation, OperationResult, Registry } from './consul/registry.ts'
import { graceEnds, ownAddress } from './core/address-grace.ts'
import { differences, isOurs, isReadyOnly, type Policy } from './core/decide.ts'
import type { Evidence, Guard } from './core/guard.ts'
import { PlanBuilder, type Plan } from './core/plan.ts'
import type { ServiceRecord } from './core/service.ts'

/** A change of readiness alone is written at most this often for a service, in milliseconds. */
const readyEveryMs = 30_000

/** Reads Consul whole. Records that did not change are kept, so that each service is in memory once. */
export async function readActual(
  registry: Registry,
  clusterName: string,
  known: (id: string) => readonly (ServiceRecord | undefined)[],
  signal: AbortSignal,
): Promise<ActualSet> {
  const actual = new ActualSet(clusterName)
  await registry.read(({ id, name, address, port, tags, meta }) => {
    const read = { id, name, address, port, tags, meta }
    const same = known(id).find((one) => one !== undefined && differences(one, read).length === 0)
    actual.set(same ?? read)
  }, signal)
  return actual
}

/** The shards of what is ours elsewhere in Consul, by ID; none where that cannot be read. */
export async function inheritedShards(
  registry: Pick<Registry, 'read'> | undefined,
  { clusterName, log }: { readonly clusterName: string; readonly log: Logger },
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const shards = new Map<string, string>()
  const each = (service: ServiceRecord): void => {
    const shard = service.meta['shard_path']
    if (shard !== undefined && isOurs(service, clusterName)) shards.set(service.id, shard)
  }
  await registry?.read(each, signal).catch((error: unknown) => {
    log.warn(
      { event: 'inherit_failed', error: describeError(error) },
      'Cannot see which shards services had before, elsewhere in Consul',
    )
  })
  return shards
}

export interface PlannerOptions {
  readonly clusterName: string
  readonly policy: Policy
  readonly guard: Guard
}

/** What a plan is made for. */
export type PlannedView = Pick<ClusterView, 'desired' | 'complete' | 'addressless'>

/** Makes plans, and remembers what has to wait for a later one. */
export class Planner {
  readonly #options: PlannerOptions
  /** IDs whose removal is held: each plan looks at them again. */
  readonly #held = new Set<string>()
  /** When readiness alone was last written, by ID; monotonic. */
  readonly #readyWritten = new Map<string, number>()
  /** When a deferred change of readiness, or the end of the wait for an address, is due, by ID; monotonic. */
  readonly #deferredUntil = new Map<string, number>()

  constructor(options: PlannerOptions) {
    this.#options = options
  }

  /** When the first deferred change is due; infinity: there is none. */
  get nextDeferredAt(): number {
    let first = Number.POSITIVE_INFINITY
    for (const dueAt of this.#deferredUntil.values()) first = Math.min(first, dueAt)
    return first
  }

  /** IDs whose deferred change is due by now. */
  dueDeferred(): string[] {
    const now = performance.now()
    return [...this.#deferredUntil].filter(([, dueAt]) => dueAt <= now).map(([id]) => id)
  }

  /** Plans for some IDs, or for all that are wanted or there. */
  async plan(
    ids: Iterable<string> | 'all',
    view: PlannedView,
    actual: ActualSet,
    evidence: Evidence,
  ): Promise<Plan> {
    const { clusterName, guard, policy } = this.#options
    const builder = new PlanBuilder({
      clusterName,
      guard,
      // Nothing is missing as long as not everything was seen.
      policy: view.complete ? policy : 'upsert-only',
      readyDue: (id) => performance.now() - (this.#readyWritten.get(id) ?? -readyEveryMs) >= readyEveryMs,
    })
    const slice = new TimeSlice()
    const now = performance.now()
    const waiting: { readonly service: ServiceRecord; readonly until: number }[] = []
    for (const id of ids === 'all' ? allIds(view, actual) : new Set([...ids, ...this.#held])) {
      const desired = view.desired.get(id)
      const found = actual.get(id)
      const until = (desired ?? found === undefined) ? undefined : graceEnds(found, view.addressless)
      if (found !== undefined && until !== undefined && until > now) waiting.push({ service: found, until })
      else builder.add(desired, found)
      if (slice.over) await slice.next()
    }
    const taken = waiting.length === 0 ? new Set() : await addressesOf(view, slice)
    for (const { service } of waiting) {
      if (taken.has(ownAddress(service))) builder.add(undefined, service)
      else builder.addWaiting(service)
    }
    const plan = builder.finish(actual.registered, evidence)
    this.#remember(plan, ids === 'all')
    for (const { service, until } of waiting) this.#deferredUntil.set(service.id, until)
    return plan
  }

  /** To be told of each update that was written. */
  written({ service, changed }: { service: ServiceRecord; changed: readonly string[] }): void {
    if (isReadyOnly(changed)) this.#readyWritten.set(service.id, performance.now())
  }

  #remember(plan: Plan, all: boolean): void {
    this.#held.clear()
    for (const { services } of plan.held) for (const { id } of services) this.#held.add(id)
    const now = performance.now()
    for (const [id, dueAt] of this.#deferredUntil) if (all || dueAt <= now) this.#deferredUntil.delete(id)
    for (const { service } of plan.deferred)
      this.#deferredUntil.set(service.id, (this.#readyWritten.get(service.id) ?? now) + readyEveryMs)
    for (const [id, at] of this.#readyWritten) if (now - at >= readyEveryMs) this.#readyWritten.delete(id)
  }
}

function* allIds(view: PlannedView, actual: ActualSet): Generator<string> {
  yield* view.desired.services.keys()
  for (const id of actual.services.keys()) if (view.desired.get(id) === undefined) yield id
}

/** The addresses of all that is wanted. */
async function addressesOf(view: PlannedView, slice: TimeSlice): Promise<ReadonlySet<string>> {
  const addresses = new Set<string>()
  for (const service of view.desired.services.values()) {
    addresses.add(ownAddress(service))
    if (slice.over) await slice.next()
  }
  return addresses
}

/** What applying a plan came to. */
export interface Applied {
  readonly registered: number
  readonly updated: number
  readonly deregistered: number
  /** Operations that did not reach Consul or failed there: to be tried again after reading it anew. */
  readonly failed: readonly Extract<OperationResult, { ok: false }>[]
  /** Operations that Consul will not take as they are. */
  readonly refused: readonly Extract<OperationResult, { ok: false }>[]
}

export interface ApplyOptions {
  readonly registry: Pick<Registry, 'apply'>
  readonly view: Pick<ClusterView, 'desired'>
  readonly actual: ActualSet
  readonly onResult: (result: OperationResult) => void
  readonly signal: AbortSignal
}

/**
 * Applies a plan: first what is registered and updated, then, unless that failed, what is removed. What the cluster has
 * taken back in the meantime is left out: the change that did so brings a plan of its own.
 */
export async function applyPlan(plan: Plan, options: ApplyOptions): Promise<Applied> {
  const { registry, view, actual, onResult, signal } = options
  const counts = { register: 0, update: 0, deregister: 0 }
  const failed: Extract<OperationResult, { ok: false }>[] = []
  const refused: Extract<OperationResult, { ok: false }>[] = []
  const settle = (result: OperationResult): void => {
    const { operation } = result
    if (!result.ok) (result.refused ? refused : failed).push(result)
    else {
      counts[operation.type] += 1
      if (operation.type === 'deregister') actual.delete(operation.service.id)
      else actual.set(operation.service)
    }
    onResult(result)
  }
  const slice = new TimeSlice()
  const upserts: Operation[] = []
  for (const service of plan.register) {
    if (view.desired.get(service.id) === service) upserts.push({ type: 'register', service })
    if (slice.over) await slice.next()
  }
  for (const { service } of plan.update) {
    if (view.desired.get(service.id) === service)
      upserts.push({ type: 'update', service, previous: actual.get(service.id) })
    if (slice.over) await slice.next()
  }
  if (upserts.length > 0) await registry.apply(upserts, settle, signal)
  const removals: Operation[] = plan.deregister
    .filter(({ id }) => view.desired.get(id) === undefined)
    .map((service) => ({ type: 'deregister', service }))
  if (removals.length > 0 && failed.length === 0) await registry.apply(removals, settle, signal)
  return {
    registered: counts.register,
    updated: counts.update,
    deregistered: counts.deregister,
    failed,
    refused,
  }
}
