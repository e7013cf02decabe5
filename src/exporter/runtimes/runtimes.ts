import { describeError } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import type { ListedContainer, ListedSandbox, Listing } from '../core/containers.ts'
import { detectRuntimes, type DetectOptions, type FailedEndpoint } from './detect.ts'
import type { ContainerRuntime } from './runtime.ts'

export interface RuntimesOptions extends Pick<DetectOptions, 'choice' | 'endpoints'> {
  readonly log: Logger
}

/** What is known of one runtime. */
export interface RuntimeStatus {
  readonly name: string
  readonly version: string
  readonly endpoint: string
  /** Why it is not to be relied on; undefined: it answers. */
  readonly failure: string | undefined
}

/** A container or a sandbox and the runtimes that listed it, the best first. */
export interface FromRuntimes<T> {
  readonly runtimes: readonly ContainerRuntime[]
  readonly item: T
}

/** How long one call may take before it is given up, in milliseconds. Scrapes wait for less. */
const callMs = 10_000
/** Runtimes that come later are looked for this often, and known ones asked for their version, in milliseconds. */
const detectEveryMs = 60_000

/**
 * The runtimes of this node. One that hangs or restarts is asked again by each scrape, which meanwhile uses the
 * containers that it listed last: whether they still live is for the caller to check.
 */
export class Runtimes implements Disposable {
  readonly #options: RuntimesOptions
  readonly #log: Logger
  readonly #connections: Connection[] = []
  #failures: readonly FailedEndpoint[] = []
  #detecting: Promise<void> | undefined
  #detectedAt = -Infinity
  readonly #disposed = new AbortController()

  constructor(options: RuntimesOptions) {
    this.#options = options
    this.#log = options.log
  }

  /**
   * All running containers and sandboxes, each once even when two runtimes know it (cri-dockerd and Docker).
   *
   * @param waitMs how long to wait for slow runtimes
   * @returns undefined when no runtime has answered yet
   */
  async list(
    waitMs: number,
  ): Promise<Listing<FromRuntimes<ListedContainer>, FromRuntimes<ListedSandbox>> | undefined> {
    await this.#detect(waitMs)
    await Promise.all(this.#connections.map((connection) => connection.refresh(waitMs)))
    const listed = this.#connections.flatMap(({ runtime, listing }) =>
      listing === undefined ? [] : [{ runtime, listing }],
    )
    if (listed.length === 0) return undefined
    return {
      containers: eachOnce(listed.map(({ runtime, listing }) => ({ runtime, items: listing.containers }))),
      sandboxes: eachOnce(listed.map(({ runtime, listing }) => ({ runtime, items: listing.sandboxes }))),
    }
  }

  /** Those that were connected, and where one should be but could not be. */
  get statuses(): RuntimeStatus[] {
    return this.#connections.map(({ runtime: { name, version, endpoint }, failure }) => ({
      ...{ name, version, endpoint, failure },
    }))
  }

  /** Endpoints that were found but do not work. */
  get failures(): readonly FailedEndpoint[] {
    return this.#failures
  }

  get runtimes(): readonly ContainerRuntime[] {
    return this.#connections.map(({ runtime }) => runtime)
  }

  [Symbol.dispose](): void {
    this.#disposed.abort()
    for (const { runtime } of this.#connections) runtime[Symbol.dispose]()
  }

  async #detect(waitMs: number): Promise<void> {
    const wanted = this.#options.endpoints?.length ?? 1
    const due = this.#connections.length < wanted || performance.now() - this.#detectedAt > detectEveryMs
    if (due) this.#detecting ??= this.#connectNew()
    if (this.#connections.length === 0 && this.#detecting !== undefined) await within(this.#detecting, waitMs)
  }

  /** Says what does not work, when that changed. */
  #report(failures: readonly FailedEndpoint[]): void {
    for (const { endpoint, reason } of failures)
      if (!this.#failures.some((known) => known.endpoint === endpoint && known.reason === reason))
        this.#log.warn(
          { event: 'runtime_unavailable', endpoint, error: reason },
          'A container runtime cannot be used',
        )
    this.#failures = failures
  }

  async #connectNew(): Promise<void> {
    const known = new Set(this.#connections.map(({ runtime }) => runtime.endpoint))
    const { runtimes, failures } = await detectRuntimes({
      ...{ choice: this.#options.choice, endpoints: this.#options.endpoints },
      ...{ known, signal: this.#disposed.signal },
    })
    this.#report(failures)
    this.#detectedAt = performance.now()
    this.#detecting = undefined
    for (const connection of this.#connections) connection.outdated = true
    for (const runtime of runtimes) {
      if (this.#disposed.signal.aborted) {
        runtime[Symbol.dispose]()
        continue
      }
      const { name, version, endpoint } = runtime
      this.#log.info(
        { event: 'runtime_connected', runtime: name, version, endpoint },
        'Container runtime found',
      )
      this.#connections.push(new Connection(runtime, this.#log))
    }
  }
}

class Connection {
  readonly runtime: ContainerRuntime
  readonly #log: Logger
  /** What it listed last; undefined: nothing yet. */
  listing: Listing | undefined
  failure: string | undefined
  /** Its name and version are to be asked for again. */
  outdated = false
  #listing: Promise<void> | undefined

  constructor(runtime: ContainerRuntime, log: Logger) {
    this.runtime = runtime
    this.#log = log
  }

  async refresh(waitMs: number): Promise<void> {
    this.#listing ??= this.#list()
    if (!(await within(this.#listing, waitMs))) this.#failed(`no answer within ${waitMs} ms`)
  }

  async #list(): Promise<void> {
    try {
      this.listing = await this.runtime.list(callMs)
      if (this.outdated) await this.runtime.identify(callMs)
      this.outdated = false
      if (this.failure !== undefined)
        this.#log.info(
          { event: 'runtime_recovered', endpoint: this.runtime.endpoint },
          'Container runtime answers again',
        )
      this.failure = undefined
    } catch (error) {
      this.#failed(describeError(error))
    } finally {
      this.#listing = undefined
    }
  }

  #failed(reason: string): void {
    if (this.failure === undefined)
      this.#log.warn(
        { event: 'runtime_failed', endpoint: this.runtime.endpoint, error: reason },
        'Container runtime does not answer: going on with the containers known so far',
      )
    this.failure = reason
    this.outdated = true
  }
}

function eachOnce<T extends { readonly id: string }>(
  lists: readonly { readonly runtime: ContainerRuntime; readonly items: readonly T[] }[],
): FromRuntimes<T>[] {
  const byId = new Map<string, FromRuntimes<T>>()
  for (const { runtime, items } of lists)
    for (const item of items) {
      const known = byId.get(item.id)
      byId.set(item.id, { item: known?.item ?? item, runtimes: [...(known?.runtimes ?? []), runtime] })
    }
  return [...byId.values()]
}

/** Whether `promise`, which never rejects, settled within `ms`. */
async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(false)
    }, ms)
  })
  const settled = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return settled
}
