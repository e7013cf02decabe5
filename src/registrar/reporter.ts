import { describeError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import type { Readiness } from '../common/web/readiness.ts'
import type { ServiceRecord } from './core/service.ts'
import type { Plan } from './core/plan.ts'
import type { RegistrarMetrics } from './metrics.ts'
import type { Applied } from './pass.ts'
import type { PassReport, Refusal } from './status.ts'

export interface ReporterOptions {
  readonly log: Logger
  readonly readiness: Readiness
  readonly metrics: RegistrarMetrics
}

const keptPasses = 10
/** From this many service names on the registrar warns: Consul allows a client 200 connections. */
const manyNames = 150

/** Tells people what the reconciler does: log, readiness, metrics, and what the page shows. Says nothing twice. */
export class Reporter {
  readonly #options: ReporterOptions
  readonly #refused = new Map<string, Refusal>()
  #plan: Plan | undefined
  #held: string | undefined
  #warnedOfNames = false
  passes: readonly PassReport[] = []
  lastSuccess: Date | undefined
  problem: string | undefined

  constructor(options: ReporterOptions) {
    this.#options = options
    options.readiness.set('sync', 'the first reconciliation is not finished')
  }

  /** The newest plan; its conflicts are those of all plans since the last whole one. */
  get plan(): Plan | undefined {
    return this.#plan
  }

  get refused(): readonly Refusal[] {
    return [...this.#refused.values()]
  }

  /** @param all whether the plan looked at every service */
  planned(plan: Plan, all: boolean): void {
    const { log, readiness, metrics } = this.#options
    metrics.planned({
      register: plan.register.length,
      update: plan.update.length,
      deregister: plan.deregister.length,
    })
    const held = plan.held
      .map(({ services, kind, reason }) => `${services.length} removals of ${kind}s: ${reason}`)
      .join('; ')
    if (held !== '' && held !== this.#held) log.warn({ event: 'removals_held', held }, 'Removals are held')
    if (held === '' && this.#held !== '' && this.#held !== undefined)
      log.info({ event: 'removals_released' }, 'No removal is held any more')
    this.#held = held
    readiness.note('held removals', held === '' ? undefined : held)

    const known = new Map(this.#plan?.conflicts.map((conflict) => [conflict.service.id, conflict]))
    for (const { service, owner } of plan.conflicts) {
      if (!known.has(service.id))
        log.warn({ event: 'id_conflict', id: service.id, owner }, 'A service ID is not ours, left alone')
    }
    const now = new Map(all ? [] : known)
    for (const conflict of plan.conflicts) now.set(conflict.service.id, conflict)
    this.#plan = { ...plan, conflicts: [...now.values()] }
  }

  refusedService(id: string, error: string): void {
    if (this.#refused.get(id)?.error !== error)
      this.#options.log.warn({ event: 'service_refused', id, error }, 'Consul will not take a service')
    this.#refused.set(id, { id, error })
  }

  acceptedService(id: string): void {
    this.#refused.delete(id)
  }

  /** @param started monotonic milliseconds */
  applied(applied: Applied, full: boolean, started: number): void {
    const { log, metrics } = this.#options
    const { registered, updated, deregistered } = applied
    const counts = {
      ...{ registered, updated, deregistered },
      failed: applied.failed.length,
      refused: applied.refused.length,
    }
    const durationMs = Math.round(performance.now() - started)
    metrics.pass(full, counts.failed === 0 ? 'ok' : 'error', durationMs / 1000)
    const writes = Object.values(counts).reduce((sum, count) => sum + count, 0)
    if (writes === 0 && !full) return
    this.passes = [{ at: new Date(), full, durationMs, ...counts }, ...this.passes].slice(0, keptPasses)
    if (full) log.info({ event: 'synced', durationMs, ...counts }, 'Consul was read and brought in line')
    else log.debug({ event: 'changes_written', durationMs, ...counts }, 'Changes were written')
  }

  /** Consul answered and took what it was given. */
  worked(): void {
    if (this.problem !== undefined) this.#options.log.info({ event: 'sync_recovered' }, 'Reconciling again')
    this.problem = undefined
    this.#options.readiness.set('consul', undefined)
  }

  /** Everything is in place. @param desired given after a comparison of everything */
  inSync(desired: ReadonlyMap<string, ServiceRecord> | undefined): void {
    this.lastSuccess = new Date()
    this.#options.readiness.set('sync', undefined)
    if (desired === undefined) return
    for (const id of this.#refused.keys()) if (!desired.has(id)) this.#refused.delete(id)
    this.#warnOfNames(desired)
  }

  failed(error: unknown): void {
    const { log, readiness, metrics } = this.#options
    const text = describeError(error)
    if (text !== this.problem)
      log.error({ event: 'sync_failed', error: text }, 'Reconciliation failed, will go on trying')
    this.problem = text
    readiness.set('consul', text)
    metrics.pass(true, 'error', 0)
  }

  /** A follower is ready and idle. */
  idle(): void {
    this.problem = undefined
    for (const part of ['sync', 'consul', 'cluster name']) this.#options.readiness.set(part, undefined)
  }

  /** consul_sd opens one long poll per service name. */
  #warnOfNames(desired: ReadonlyMap<string, ServiceRecord>): void {
    const names = new Set<string>()
    for (const { name } of desired.values()) if (names.add(name).size >= manyNames) break
    const many = names.size >= manyNames
    const advice =
      `${manyNames} service names or more: Prometheus opens a connection for each, and Consul allows a client 200; ` +
      'expected POD_SERVICE_NAME=k8s-pods and NODE_SERVICE_NAME=k8s-nodes in a cluster of this size'
    this.#options.readiness.note('service names', many ? advice : undefined)
    if (many && !this.#warnedOfNames) this.#options.log.warn({ event: 'many_service_names' }, advice)
    this.#warnedOfNames = many
  }
}
