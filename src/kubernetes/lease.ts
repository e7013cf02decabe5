import { describeError } from '../common/errors.ts'
import { pause } from '../common/lifecycle.ts'
import type { Logger } from '../common/logger.ts'
import { ApiError } from './api-error.ts'
import type { KubernetesClient } from './client.ts'
import {
  claimLease,
  observe,
  parseLease,
  releaseLease,
  takeableAt,
  type Observation,
} from './lease-record.ts'
import { Term } from './term.ts'

export interface LeaseElectionOptions {
  readonly client: KubernetesClient
  readonly namespace: string
  readonly name: string
  /** Different for each process, also for one that is started again: it must not take itself for its predecessor. */
  readonly identity: string
  readonly log: Logger
  /** How long others respect a lease that is not renewed, in milliseconds, whole seconds. @default 15000 */
  readonly durationMs?: number
  /** A leader that could not renew for this long stops; the rest of the duration is for what is in flight. @default 10000 */
  readonly renewWithinMs?: number
  /** Between two looks at the lease. @default 2000 */
  readonly retryMs?: number
}

/**
 * Leader election by a Lease. Who holds it has a {@link term}; it ends, at the latest, well before anybody else may take the
 * lease, whether or not the API server can be reached. Times at the server are not trusted: how long a lease stood still is
 * measured here.
 *
 * A process that is frozen in the middle of a write and thawed after its term may still send that one write: look at
 * {@link term} right before each.
 */
export class LeaseElection implements AsyncDisposable {
  readonly #options: Required<LeaseElectionOptions>
  readonly #listeners = new Set<() => void>()
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #observed: Observation | undefined
  #term: Term | undefined
  #problem: string | undefined
  /** A claim was sent, whatever became of it. */
  #claimed = false

  private constructor(options: LeaseElectionOptions) {
    this.#options = { durationMs: 15_000, renewWithinMs: 10_000, retryMs: 2_000, ...options }
    this.#running = this.#run(this.#stop.signal)
  }

  static start(options: LeaseElectionOptions): LeaseElection {
    return new LeaseElection(options)
  }

  /** Ours, until it is aborted; undefined while another leads. Each call looks at the clock. */
  get term(): AbortSignal | undefined {
    return this.#term?.check()
  }

  /** Who holds the lease, as far as is known. */
  get holder(): string | undefined {
    return this.#observed?.lease.holder
  }

  /** Why the lease cannot be read or written; undefined while it can. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Calls `listener` when a term begins or ends, another one holds the lease, or {@link problem} changed. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const stopped = (): boolean => signal.aborted
    while (!stopped()) {
      const holder = this.holder
      try {
        await this.#attempt(signal)
        this.#setProblem(undefined)
      } catch (error) {
        if (stopped()) return
        // Another one was faster: nothing is wrong.
        if (!(error instanceof ApiError && error.code === 'conflict')) this.#setProblem(describeError(error))
        else this.#observed = undefined
      }
      if (this.holder !== holder) this.#notify()
      await pause(this.#untilNextAttempt(), signal)
    }
  }

  /** Looks at the lease, and takes or renews it if that is possible. */
  async #attempt(signal: AbortSignal): Promise<void> {
    const { identity } = this.#options
    // While it is ours, nobody else changes it: no need to read it before a renewal.
    if (this.term === undefined || this.#observed === undefined) await this.#read(signal)
    const observed = this.#observed
    if (observed !== undefined && observed.lease.holder !== identity)
      this.#end('another replica holds the lease')
    if (observed === undefined || takeableAt(observed, identity) <= performance.now())
      await this.#claim(signal)
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { name } = this.#options
    try {
      const lease = parseLease(
        await this.#request({ act: `get lease ${name}`, path: `${this.#path}/${name}`, signal }),
      )
      this.#observed = observe(this.#observed, lease, performance.now())
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 'not_found')) throw error
      this.#observed = undefined
    }
  }

  async #claim(signal: AbortSignal): Promise<void> {
    const { name } = this.#options
    const previous = this.#observed?.lease
    const body = claimLease(previous, { ...this.#options, now: new Date() })
    // The term counts from before the request: the server may have written it at any time since.
    const term = new Term(this.#options.renewWithinMs)
    this.#claimed = true
    const answer = await this.#request(
      previous === undefined
        ? { act: `create lease ${name}`, method: 'POST', path: this.#path, body, signal }
        : { act: `update lease ${name}`, method: 'PUT', path: `${this.#path}/${name}`, body, signal },
    )
    this.#observed = observe(this.#observed, parseLease(answer), performance.now())
    if (signal.aborted) return
    if (this.term !== undefined) this.#term?.extendTo(term)
    else this.#begin(term)
  }

  #begin(term: Term): void {
    if (term.check() === undefined) return
    this.#term = term
    term.start(() => {
      this.#end(`the lease could not be renewed for ${this.#options.renewWithinMs} ms`)
    })
    const { identity, log } = this.#options
    log.info({ event: 'leading', identity }, 'This replica leads')
    this.#notify()
  }

  #end(why: string, { expected }: { readonly expected: boolean } = { expected: false }): void {
    const term = this.#term
    if (term === undefined) return
    this.#term = undefined
    term.end()
    const { identity, log } = this.#options
    const fields = { event: 'not_leading', identity, why }
    if (expected) log.info(fields, 'This replica leads no longer')
    else log.warn(fields, 'This replica leads no longer')
    this.#notify()
  }

  #untilNextAttempt(): number {
    const { identity, retryMs } = this.#options
    if (this.#observed === undefined) return retryMs
    const takeable = takeableAt(this.#observed, identity) - performance.now()
    // The moment it may be taken is not waited past; replicas come apart by a little chance.
    return (takeable > 0 ? Math.min(retryMs, takeable) : retryMs) * (0.9 + Math.random() * 0.1) + 1
  }

  get #path(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(this.#options.namespace)}/leases`
  }

  /** A request that leaves time for another within the term. */
  #request(request: Omit<Parameters<KubernetesClient['json']>[0], 'silenceMs'>): Promise<unknown> {
    const { client, renewWithinMs } = this.#options
    return client.json({ ...request, silenceMs: renewWithinMs / 3 })
  }

  #setProblem(problem: string | undefined): void {
    if (this.#problem === problem) return
    this.#problem = problem
    if (problem !== undefined)
      this.#options.log.warn({ event: 'lease_failed', error: problem }, 'Cannot use the lease')
    this.#notify()
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }

  /** Ends the term, and gives the lease up so that the next one need not wait. What the term allowed must be over. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
    this.#listeners.clear()
    this.#end('it stops', { expected: true })
    await this.#release(AbortSignal.timeout(releaseMs)).catch((error: unknown) => {
      const fields = { event: 'lease_failed', error: describeError(error) }
      this.#options.log.warn(fields, 'Cannot give the lease up: the next leader has to wait until it ends')
    })
  }

  async #release(signal: AbortSignal): Promise<void> {
    const { namespace, name, identity } = this.#options
    if (!this.#claimed) return
    // Read again: a claim may have been on its way.
    await this.#read(signal)
    const lease = this.#observed?.lease
    if (lease?.holder !== identity) return
    const body = releaseLease(lease, namespace, name, new Date())
    await this.#request({
      act: `release lease ${name}`,
      method: 'PUT',
      path: `${this.#path}/${name}`,
      body,
      signal,
    })
  }
}

/** A stop may take 10 s in all. */
const releaseMs = 2_000
