import { Backoff } from '../common/backoff.ts'
import { describeError, PodsonarError } from '../common/errors.ts'
import { pause } from '../common/lifecycle.ts'
import type { NodeRecord, PodRecord } from '../kubernetes/records.ts'
import type { Source } from '../kubernetes/source.ts'
import { ActualSet } from './actual-set.ts'
import { ClusterView } from './cluster-view.ts'
import type { OperationResult, Registry } from './consul/registry.ts'
import type { DesiredServices } from './core/desired.ts'
import type { Plan } from './core/plan.ts'
import type { HeartbeatKeeper } from './heartbeat.ts'
import type { Leadership } from './leadership.ts'
import { applyPlan, inheritedShards, Planner, readActual, type Applied, type PlannerOptions } from './pass.ts'
import { Reporter, type ReporterOptions } from './reporter.ts'
import type { RegistrarStatus } from './status.ts'
import { Wake } from './wake.ts'

export interface ReconcilerOptions extends PlannerOptions, ReporterOptions {
  readonly registry: Registry
  readonly pods: Source<PodRecord>
  readonly nodes: Source<NodeRecord>
  readonly services: DesiredServices
  /** Pods are reached through their node's proxy. */
  readonly podsFollowNodes: boolean
  /** Where services of this cluster were before, by another way or agent: they keep their shards. */
  readonly inheritFrom: Pick<Registry, 'read'> | undefined
  readonly syncPeriodMs: number
  readonly leadership: Leadership
  /** Undefined: none is written (DRY_RUN). */
  readonly heartbeat: HeartbeatKeeper | undefined
  /** DRY_RUN: plans go here and nowhere else. */
  readonly printPlan: ((plan: Plan) => void) | undefined
  readonly once: boolean
  /** Called after each comparison of everything that left nothing to do, for what lies outside of the plan. Never throws. */
  readonly afterFull: (otherClusters: ReadonlySet<string>, signal: AbortSignal) => Promise<void>
}

/** Changes that arrive within this time of each other are written together. */
const debounceMs = 25
/** A list that failed is tried again after this. */
const relistRetryMs = 30_000
/** ONCE gives up after this long without success. */
const oncePatienceMs = 60_000

/** The loop that keeps Consul equal to the cluster. It alone reads and writes the services, one pass after the other. */
export class Reconciler implements AsyncDisposable {
  /** Settles only with ONCE: resolves when all is in place, rejects when that cannot be. */
  readonly finished: Promise<void>
  readonly #options: ReconcilerOptions
  readonly #planner: Planner
  readonly #reporter: Reporter
  readonly #stop = new AbortController()
  readonly #wake = new Wake()
  readonly #done = Promise.withResolvers<undefined>()
  readonly #subscriptions = new DisposableStack()
  readonly #patience: NodeJS.Timeout | undefined
  readonly #loop: Promise<void>
  #actual: ActualSet
  #view: ClusterView | undefined
  /** Consul must be read before anything else is done. */
  #readDue = true
  /** Everything is to be compared again, without reading. */
  #compareDue = false
  #wasComplete = false
  #nextPeriodicAt: number
  #relisting: Promise<void> | undefined
  #relistProblem: string | undefined
  /** What goes on beside the loop after everything was compared. */
  #after: Promise<void> | undefined

  constructor(options: ReconcilerOptions) {
    this.#options = options
    this.#planner = new Planner(options)
    this.#reporter = new Reporter(options)
    this.#actual = new ActualSet(options.clusterName)
    this.#nextPeriodicAt = performance.now() + options.syncPeriodMs
    this.finished = this.#done.promise
    // Whoever is not interested must not be ended by a rejection.
    this.finished.catch(() => undefined)
    this.#reportSources()
    // Also where another replica leads, and nothing here looks at them.
    for (const source of [options.pods, options.nodes]) {
      this.#subscriptions.use(
        source.subscribe(() => {
          this.#reportSources()
        }),
      )
    }
    this.#subscriptions.use(
      options.leadership.subscribe(() => {
        this.#doubt()
        this.#wake.call()
      }),
    )
    this.#subscriptions.use(
      options.registry.watchLoss((reason) => {
        this.#suspect(reason)
      }),
    )
    this.#patience = options.once ? setTimeout(this.#giveUp, oncePatienceMs) : undefined
    this.#loop = this.#run(this.#stop.signal)
  }

  get status(): RegistrarStatus {
    const { clusterName, leadership } = this.#options
    const desired = this.#view?.desired
    const { plan, refused, passes, lastSuccess, problem } = this.#reporter
    return {
      clusterName,
      leading: leadership.term !== undefined,
      desired: desired?.services ?? new Map(),
      actual: this.#actual.services,
      registered: this.#actual.registered,
      skipped: () => desired?.skipped() ?? [],
      notes: () => desired?.notes() ?? [],
      droppedMeta: desired?.droppedMeta ?? 0,
      held: plan?.held ?? [],
      conflicts: plan?.conflicts ?? [],
      ...{ refused, passes, lastSuccess, problem },
    }
  }

  /** Somebody else may have written: our heartbeat must stand, and what is there be read, before anything else is done. */
  #doubt(): void {
    this.#readDue = true
    this.#options.heartbeat?.renew()
  }

  /** The services of Consul may be gone: reads them again, now. */
  #suspect(reason: string): void {
    this.#options.log.warn({ event: 'loss_noticed', reason }, 'Consul may have lost services: reading them')
    this.#options.metrics.lossNoticed()
    this.#readDue = true
    this.#wake.call()
  }

  /** ONCE: says why it is not done yet. */
  readonly #giveUp = (): void => {
    const { pods, nodes } = this.#options
    const why = this.#reporter.problem ?? pods.problem ?? nodes.problem ?? 'not everything is in place'
    const error = new PodsonarError('once_failed', `Cannot reconcile within ${oncePatienceMs} ms: ${why}`)
    this.#done.reject(error)
  }

  async #run(stop: AbortSignal): Promise<void> {
    const { leadership } = this.#options
    const backoff = new Backoff({ firstMs: 250, maxMs: 15_000 })
    while (!stop.aborted) {
      const { term } = leadership
      if (term === undefined) {
        this.#reporter.idle()
        this.#reportSources()
        await this.#wake.wait(Number.POSITIVE_INFINITY, stop)
        continue
      }
      const signal = AbortSignal.any([stop, term])
      try {
        await this.#turn(signal)
        backoff.reset()
      } catch (error) {
        this.#doubt()
        if (signal.aborted) continue
        this.#reporter.failed(error)
        this.#reportSources()
        await pause(backoff.nextMs(), signal)
      }
    }
  }

  /** Does what is due, or waits until something is. */
  async #turn(signal: AbortSignal): Promise<void> {
    const { heartbeat } = this.#options
    const now = performance.now()
    if (heartbeat !== undefined) await this.#beat(heartbeat, now, signal)
    if (now >= this.#nextPeriodicAt) this.#relist(signal)
    this.#view?.touch(this.#planner.dueDeferred())
    const dirtyAt = this.#dirtyAt()
    if (this.#readDue) await this.#full(signal)
    else if (this.#compareDue) await this.#pass('all', false, signal)
    else if (dirtyAt <= now) await this.#pass('dirty', false, signal)
    else {
      const heartbeatAt = heartbeat?.dueAt ?? Number.POSITIVE_INFINITY
      const next = Math.min(dirtyAt, this.#nextPeriodicAt, this.#planner.nextDeferredAt, heartbeatAt)
      await this.#wake.wait(Math.max(1, next - performance.now()), signal)
    }
  }

  /** When the oldest change has waited long enough for others to join it. */
  #dirtyAt(): number {
    // They are in the order of their arrival.
    for (const since of this.#view?.dirty.values() ?? []) return since + debounceMs
    return Number.POSITIVE_INFINITY
  }

  /** @throws PodsonarError `cluster_name_taken` while another cluster goes by our name */
  async #beat(heartbeat: HeartbeatKeeper, now: number, signal: AbortSignal): Promise<void> {
    if (heartbeat.dueAt <= now) await heartbeat.beat(signal)
    const { rival } = heartbeat
    this.#options.readiness.set('cluster name', rival)
    if (rival !== undefined) throw new PodsonarError('cluster_name_taken', `Cannot write to Consul: ${rival}`)
  }

  /** Reads both lists again beside the loop; afterwards Consul is read and compared with them. */
  #relist(signal: AbortSignal): void {
    const { pods, nodes, syncPeriodMs, log } = this.#options
    this.#nextPeriodicAt = performance.now() + syncPeriodMs
    this.#relisting ??= Promise.all([pods.relist(signal), nodes.relist(signal)])
      .then(() => {
        this.#relistProblem = undefined
      })
      .catch((error: unknown) => {
        if (signal.aborted) return
        this.#relistProblem = `the lists could not be read again: ${describeError(error)}`
        this.#nextPeriodicAt = performance.now() + Math.min(syncPeriodMs, relistRetryMs)
        log.warn({ event: 'relist_failed', error: describeError(error) }, 'Cannot read the lists again')
      })
      .finally(() => {
        this.#relisting = undefined
        this.#readDue = true
        this.#wake.call()
      })
  }

  async #full(signal: AbortSignal): Promise<void> {
    const { registry, clusterName } = this.#options
    const started = performance.now()
    this.#readDue = false
    this.#actual = await readActual(
      registry,
      clusterName,
      (id) => [this.#view?.desired.get(id), this.#actual.get(id)],
      signal,
    )
    this.#view ??= await this.#follow(signal)
    await this.#pass('all', true, signal, started)
  }

  async #follow(signal: AbortSignal): Promise<ClusterView> {
    const { pods, nodes, services, podsFollowNodes, log, inheritFrom } = this.#options
    const inherited = await inheritedShards(inheritFrom, this.#options, signal)
    const options = {
      ...{ pods, nodes, services, podsFollowNodes, log },
      currentShard: (id: string) => this.#actual.get(id)?.meta['shard_path'] ?? inherited.get(id),
      changed: () => {
        this.#sourcesChanged()
      },
    }
    return ClusterView.create(options, signal)
  }

  #sourcesChanged(): void {
    this.#reportSources()
    const complete = this.#view?.complete === true
    if (complete && !this.#wasComplete) this.#compareDue = true
    this.#wasComplete = complete
    this.#wake.call()
  }

  #reportSources(): void {
    const { pods, nodes, readiness } = this.#options
    for (const { resource, problem, listedAtMs } of [pods, nodes])
      readiness.set(resource, problem ?? (listedAtMs === undefined ? 'not listed yet' : undefined))
  }

  /** One comparison and what follows from it. */
  async #pass(
    scope: 'all' | 'dirty',
    full: boolean,
    signal: AbortSignal,
    started = performance.now(),
  ): Promise<void> {
    const view = this.#view
    if (view === undefined) return
    const { printPlan, afterFull } = this.#options
    this.#reportSources()
    const complete = view.complete
    this.#wasComplete = complete
    const dirty = view.takeDirty()
    const all = scope === 'all' || printPlan !== undefined
    if (all) this.#compareDue = false
    const evidence = view.evidence
    const doubt = evidence.doubt ?? this.#relistProblem
    const ids = all ? 'all' : dirty.keys()
    const plan = await this.#planner.plan(ids, view, this.#actual, { ...evidence, doubt })
    this.#reporter.planned(plan, all)
    if (printPlan === undefined) {
      const applied = await this.#apply(plan, view, dirty, signal)
      this.#reporter.applied(applied, full, started)
      const [failure] = applied.failed
      if (failure !== undefined) throw new PodsonarError('sync_incomplete', failure.error)
    } else if (complete) printPlan(plan)
    this.#reporter.worked()
    if (!complete || signal.aborted) return
    if (all && printPlan === undefined) {
      this.#after = afterFull(this.#actual.otherClusters, signal)
      if (this.#options.once) await this.#after
    }
    this.#reporter.inSync(all ? view.desired.services : undefined)
    if (this.#options.once && doubt === undefined && view.dirty.size === 0) this.#done.resolve(undefined)
  }

  #apply(
    plan: Plan,
    view: ClusterView,
    dirty: ReadonlyMap<string, number>,
    signal: AbortSignal,
  ): Promise<Applied> {
    const { registry, metrics } = this.#options
    const updates = new Map(plan.update.map((update) => [update.service.id, update]))
    const onResult = (result: OperationResult): void => {
      metrics.applied(result)
      const { id } = result.operation.service
      if (!result.ok) {
        if (result.refused) this.#reporter.refusedService(id, result.error)
        return
      }
      this.#reporter.acceptedService(id)
      const since = dirty.get(id)
      if (since !== undefined) metrics.changeApplied((performance.now() - since) / 1000)
      const update = updates.get(id)
      if (update !== undefined) this.#planner.written(update)
    }
    return applyPlan(plan, { registry, view, actual: this.#actual, onResult, signal })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#patience)
    this.#stop.abort()
    this.#subscriptions.dispose()
    await this.#loop
    await this.#relisting
    await this.#after
    this.#view?.[Symbol.dispose]()
    const { heartbeat, leadership } = this.#options
    if (leadership.term !== undefined) await heartbeat?.leave(AbortSignal.timeout(2_000))
  }
}
