/** Sees to it that the requests of the chosen pods are watched, and of no others: follows pods as they come and go. */
import { describeError, errorCode, PodsonarError } from '../../common/errors.ts'
import { pause } from '../../common/lifecycle.ts'
import type { Logger } from '../../common/logger.ts'
import type { Cgroupfs } from '../cgroupfs.ts'
import type { Pod, Snapshot } from '../core/containers.ts'
import type { LabelMaker } from '../core/labels.ts'
import { isChosen, type Choice } from '../core/requests/choose.ts'
import type { Attributes } from '../core/requests/spans.ts'
import { explainEbpfError } from '../ebpf/obstacle.ts'
import type { RequestHooks, RequestReading, TakenSpans, WatchedCgroup } from '../ebpf/request-reader.ts'
import type { TlsLibrary } from '../ebpf/tls-probes.ts'
import { EbpfWorker } from '../ebpf/worker-client.ts'
import type { Procfs } from '../procfs.ts'
import { processesOf, TlsLibraries } from './tls-libraries.ts'

export interface RequestObserverOptions {
  readonly choice: Choice
  readonly labels: LabelMaker
  readonly snapshot: () => Promise<Snapshot>
  readonly cgroupfs: Cgroupfs
  readonly procfs: Procfs
  /** Name of this node. */
  readonly node: string
  readonly libbpf: string | undefined
  readonly maxSeries: number
  readonly maxConnections: number
  readonly ringBytes: number
  /** See RequestReaderOptions, also below. */
  readonly hooks: RequestHooks
  readonly cpuShare: number
  readonly traceRatio: number | undefined
  readonly followTls: boolean
  readonly log: Logger
}

/** How often pods are looked at, in milliseconds: scrapes alone would be too seldom for pods that were just started. */
const followEveryMs = 2_000
/** How long programs stay attached when no chosen pod is left, in milliseconds. */
const lingerMs = 300_000
/** Resources of containers that are gone, at most, besides as many as there are containers. */
const spareResources = 100
/** What calls fail with when the programs are gone with their worker. */
const lostPrograms: ReadonlySet<string> = new Set(['ebpf_not_open', 'ebpf_worker_ended'])
/** After how long programs that could not be loaded are tried again, in milliseconds. */
const retryMs = 60_000

/** Of OBSERVE_HOOKS, in words. */
const seenAt = {
  socket: 'at tracepoints of sockets',
  syscall: 'at the exit of every system call of the node',
} as const

/** Attaches the programs when the first chosen pod is there: without one, nothing is attached and nothing is slowed down. */
export class RequestObserver implements AsyncDisposable {
  readonly #options: RequestObserverOptions
  /** Its own, because it works all the time; the other one is busy for tens of milliseconds in a scrape. */
  readonly #worker: EbpfWorker
  readonly #tls: TlsLibraries | undefined
  #tlsProblem: string | undefined
  #libraries: readonly TlsLibrary[] = []
  readonly #stopped = new AbortController()
  readonly #following: Promise<void>
  #isOpen = false
  #problem: { readonly error: PodsonarError; readonly at: number } | undefined
  #watched: readonly WatchedCgroup[] = []
  #lastNeeded = -Infinity
  /** By owner. */
  readonly #resources = new Map<string, Attributes>()

  constructor(options: RequestObserverOptions) {
    this.#options = options
    this.#worker = new EbpfWorker(options.log)
    this.#tls = options.followTls ? new TlsLibraries(options) : undefined
    this.#following = this.#follow()
  }

  /** How many containers are watched. */
  get watched(): number {
    return this.#isOpen ? this.#watched.length : 0
  }

  /**
   * What was counted; undefined when there is no chosen pod.
   *
   * @param calls of gRPC; else HTTP requests
   * @throws PodsonarError when there are chosen pods and the programs could not be attached
   */
  async read(calls: boolean, signal: AbortSignal): Promise<RequestReading | undefined> {
    if (this.#problem !== undefined && this.#watched.length > 0) throw this.#problem.error
    if (!this.#isOpen) return undefined
    return this.#worker.call('readRequests', { calls }, signal)
  }

  /** The spans that have come about since the last call. */
  async takeSpans(signal: AbortSignal): Promise<TakenSpans> {
    return this.#isOpen ? this.#worker.call('takeSpans', undefined, signal) : { spans: [], dropped: 0 }
  }

  /** What spans say of the container with these labels. */
  resourceOf(owner: string): Attributes {
    return this.#resources.get(owner) ?? {}
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    await this.#following
    await this.#worker[Symbol.asyncDispose]()
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      try {
        await this.#update(await this.#options.snapshot())
      } catch (error) {
        // A worker that ended lost its programs; a runtime that does not answer for a moment changes nothing.
        if (lostPrograms.has(errorCode(error) ?? '')) this.#isOpen = false
        this.#options.log.debug(
          { event: 'requests_not_followed', error: describeError(error) },
          'Chosen pods could not be looked at',
        )
      }
      await pause(followEveryMs, signal)
    }
  }

  async #update({ containers }: Snapshot): Promise<void> {
    const { choice, labels, node, cgroupfs } = this.#options
    const observed = containers.flatMap(({ pod, ...container }) =>
      pod !== undefined && container.cgroupId !== 0 && isChosen(choice, pod) ? { ...container, pod } : [],
    )
    this.#watched = observed.flatMap(({ pod, name, cgroupId, cgroups }) =>
      [cgroupId, ...cgroupfs.idsBelow(cgroups)].map((id) => ({
        cgroupId: id,
        owner: labels.owner(pod, name),
      })),
    )
    // Kept for a while after a container's end: its last spans may still come.
    if (this.#resources.size > 2 * containers.length + spareResources) this.#resources.clear()
    for (const { pod, name } of containers)
      if (pod !== undefined) this.#resources.set(labels.owner(pod, name), resourceAttributes(pod, name, node))
    const now = performance.now()
    if (this.#watched.length > 0) this.#lastNeeded = now
    else if (this.#isOpen && now - this.#lastNeeded > lingerMs) {
      await this.#worker[Symbol.asyncDispose]()
      this.#isOpen = false
    }
    if (this.#watched.length > 0 && !this.#isOpen) await this.#open(now)
    if (this.#isOpen) await this.#watch(observed.map(({ id }) => id))
  }

  /** @param containerIds those that are watched */
  async #watch(containerIds: readonly string[]): Promise<void> {
    const { procfs, log } = this.#options
    // At once, before libraries are looked for.
    await this.#worker.call('watchRequests', { cgroups: this.#watched, libraries: this.#libraries })
    if (this.#tls === undefined) return
    this.#libraries = await this.#tls.of(processesOf(procfs, new Set(containerIds)))
    const problem = await this.#worker.call('watchRequests', {
      ...{ cgroups: this.#watched, libraries: this.#libraries },
    })
    if (problem !== undefined && problem !== this.#tlsProblem)
      log.warn(
        { event: 'requests_tls_unavailable' },
        `Requests within TLS are not watched, or not all of them: ${problem}`,
      )
    this.#tlsProblem = problem
  }

  async #open(now: number): Promise<void> {
    if (this.#problem !== undefined && now - this.#problem.at < retryMs) return
    const { libbpf, hooks, maxSeries, maxConnections, ringBytes, traceRatio, cpuShare, followTls, log } =
      this.#options
    try {
      const used = await this.#worker.call('openRequests', {
        libbpf,
        hooks,
        maxSeries,
        maxConnections,
        ringBytes,
        traceRatio,
        cpuShare,
        followTls,
      })
      this.#isOpen = true
      this.#libraries = []
      this.#problem = undefined
      log.info(
        { event: 'requests_watched', containers: this.#watched.length, hooks: used },
        `Requests of chosen pods are watched, ${seenAt[used]}`,
      )
    } catch (error) {
      const reason = await explainEbpfError(error, '5.10')
      if (this.#problem === undefined)
        log.warn(
          { event: 'requests_unavailable', reason: errorCode(error) },
          `Requests of chosen pods are not watched, because ${reason}`,
        )
      const code = errorCode(error) ?? 'bpf_failed'
      this.#problem = { error: new PodsonarError(code, `Cannot watch requests: ${reason}`), at: now }
    }
  }
}

/** As the conventions for Kubernetes name them; a service is called as its pod's labels say, else as the pod. */
function resourceAttributes(pod: Pod, container: string, node: string): Attributes {
  return {
    'service.name': pod.labels['app.kubernetes.io/name'] ?? pod.labels['app'] ?? pod.name,
    'k8s.namespace.name': pod.namespace,
    'k8s.pod.name': pod.name,
    'k8s.pod.uid': pod.uid,
    'k8s.container.name': container,
    'k8s.node.name': node,
    'telemetry.source': 'podsonar',
  }
}
