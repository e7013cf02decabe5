/** All that looks at one pod, with one owner: eBPF readers, counters, and what is made of them. */
import { errorCode, PodsonarError } from '../common/errors.ts'
import { renderLabels, type Family } from '../common/exposition.ts'
import type { Logger } from '../common/logger.ts'
import { stackFamilies } from '../exporter/collectors/stack.ts'
import { tcpState } from '../exporter/core/socket-table.ts'
import type { Exchange } from '../exporter/core/requests/exchange.ts'
import type { ExchangeSpan } from '../exporter/core/requests/spans.ts'
import { ConnectionReader } from '../exporter/ebpf/connection-reader.ts'
import { explainEbpfError } from '../exporter/ebpf/obstacle.ts'
import { RequestReader } from '../exporter/ebpf/request-reader.ts'
import { StackReader, type StackReading } from '../exporter/ebpf/stack-reader.ts'
import type { Procfs } from '../exporter/procfs.ts'
import { ProcfsTableSource } from '../exporter/procfs-table.ts'
import { SharedTable } from '../exporter/shared-table.ts'
import type { Layer } from './core/arguments.ts'
import { ConnectionTracker, type Connection } from '../exporter/core/sidecar/connection-tracker.ts'
import { connectionEvent, exchangeEvent, type ShownEvent } from './core/event-line.ts'
import type { MonitoredPod } from './core/pod.ts'
import type { Picture, StackPicture } from './core/render.ts'
import { SidecarTimes } from './core/sidecar.ts'
import { Rate, Summary } from './core/summary.ts'
import type { MonitorMetrics } from './metrics.ts'

export interface WatchOptions {
  readonly pod: MonitoredPod
  readonly layers: ReadonlySet<Layer>
  readonly libbpf: string | undefined
  readonly procfs: Procfs
  /** Whether connections and requests are kept for spans. */
  readonly traced: boolean
  readonly metrics: MonitorMetrics
  readonly onEvent: ((event: ShownEvent) => void) | undefined
  readonly log: Logger
}

/** Connections that wait to become spans at most. */
const maxTraced = 8_192
/** How requests are read: one pod's fit. */
const ofRequests = { maxSeries: 2_000, maxConnections: 20_000, cpuShare: 0.2 } as const

export class Watch implements AsyncDisposable {
  readonly #options: WatchOptions
  #owned: AsyncDisposableStack
  readonly #connections: ConnectionReader | undefined
  readonly #stack: StackReader | undefined
  readonly #requests: RequestReader | undefined
  readonly #table: SharedTable
  readonly #tracker = new ConnectionTracker()
  readonly #summary = new Summary(performance.now())
  readonly #sidecar = new SidecarTimes()
  readonly #interfaces = new Map<string, { readonly received: Rate; readonly sent: Rate }>()
  #pod: MonitoredPod
  #states: ReadonlyMap<string, number> = new Map()
  #traced: Connection[] = []
  #lookedAtMs = performance.now()

  private constructor(options: WatchOptions, owned: AsyncDisposableStack) {
    const { pod, layers, libbpf, log, procfs } = options
    this.#options = options
    this.#pod = pod
    const source = owned.use(
      new ProcfsTableSource({ root: procfs.root, inboundPorts: false, onSkipped: () => undefined }),
    )
    const ended = new AbortController()
    owned.defer(() => {
      ended.abort()
    })
    this.#table = new SharedTable(source, ended.signal)
    if (layers.has('socket')) this.#connections = owned.use(new ConnectionReader({ libbpf, log }))
    if (layers.has('stack')) this.#stack = owned.use(new StackReader({ libbpf, log }))
    if (layers.has('http') || layers.has('grpc'))
      this.#requests = owned.use(
        new RequestReader({
          ...{ ...ofRequests, libbpf, log, traceRatio: options.traced ? 1 : undefined },
          onExchange: (container, exchange) => {
            this.#onExchange(container, exchange)
          },
        }),
      )
    this.#owned = owned
    this.follow(pod)
  }

  /**
   * Attaches what the layers need.
   *
   * @throws PodsonarError with the reason in words when that cannot be done
   */
  static async open(options: WatchOptions): Promise<Watch> {
    await using owned = new AsyncDisposableStack()
    try {
      const watch = new Watch(options, owned)
      watch.#owned = owned.move()
      return watch
    } catch (error) {
      const reason = await explainEbpfError(error)
      throw new PodsonarError(errorCode(error) ?? 'bpf_failed', `Cannot look at the pod, because ${reason}`)
    }
  }

  /** The pod as it is now: its containers may have been restarted. */
  follow(pod: MonitoredPod): void {
    this.#pod = pod
    this.#connections?.watch([pod.networkNamespace])
    this.#stack?.watch([pod.networkNamespace])
    this.#requests?.watch(
      pod.containers.flatMap(({ name, cgroupIds }) =>
        cgroupIds.map((cgroupId) => ({ cgroupId, owner: name })),
      ),
    )
  }

  /** Takes in what has happened since the last call. */
  poll(): void {
    const { metrics, onEvent, traced } = this.#options
    const offset = unixOffsetMs()
    this.#connections?.drain((event) => {
      const change = this.#tracker.add(event, this.#pod)
      this.#summary.addConnection(change)
      const sign = this.#sidecar.add(change)
      if (sign !== undefined) metrics.addSidecar(sign)
      metrics.addConnection(change)
      onEvent?.(connectionEvent(change, offset))
      const isOver = change.step === 'closed' || change.step === 'failed'
      if (traced && isOver && this.#traced.length < maxTraced) this.#traced.push(change.connection)
    })
  }

  /** Reads what is counted, makes rates of it and gives the picture of this moment. */
  async look(isFinal = false): Promise<Picture> {
    this.poll()
    const { layers } = this.#options
    const nowMs = performance.now()
    const seconds = (nowMs - this.#lookedAtMs) / 1_000
    this.#lookedAtMs = nowMs
    const reading = this.#stack?.read()
    const requests = this.#requests?.read(false)
    if (layers.has('socket')) this.#states = await this.#readStates()
    this.#summary.look(nowMs)
    return {
      ...{
        pod: this.#pod,
        layers,
        summary: this.#summary,
        sidecar: this.#sidecar,
        states: this.#states,
        nowMs,
      },
      isFinal,
      stack: reading && this.#stackPicture(reading, seconds),
      lost: (requests?.lost ?? 0) + (this.#connections?.lost ?? 0) + (reading?.lost ?? 0),
    }
  }

  /** What the network stack has counted, as metrics; none where it is not looked at. */
  stackFamilies(): Family[] {
    const { networkNamespace, namespace, name } = this.#pod
    const owners = new Map([[networkNamespace, renderLabels({ namespace, pod: name, container: '' })]])
    return this.#stack === undefined ? [] : stackFamilies(this.#stack.read(), owners)
  }

  /** Connections that have ended since the last call. */
  takeConnections(): readonly Connection[] {
    const taken = this.#traced
    this.#traced = []
    return taken
  }

  /** Requests, likewise. */
  takeRequests(): readonly ExchangeSpan[] {
    return this.#requests?.takeSpans().spans ?? []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]()
  }

  #onExchange(container: string, exchange: Exchange): void {
    const { layers, metrics, onEvent } = this.#options
    if (!layers.has(exchange.grpc === undefined ? 'http' : 'grpc')) return
    this.#summary.addExchange(exchange)
    metrics.addExchange(exchange)
    onEvent?.(exchangeEvent(exchange, container, unixOffsetMs()))
  }

  async #readStates(): Promise<ReadonlyMap<string, number>> {
    const { networkNamespace: inode, pid } = this.#pod
    const { namespaces } = await this.#table.read({ namespaces: [{ inode, pids: [pid] }] })
    const sockets = namespaces.get(inode)
    return new Map(
      Object.entries(tcpState).map(([name, index]) => [
        stateName(name),
        (sockets?.tcp[index] ?? 0) + (sockets?.tcp6[index] ?? 0),
      ]),
    )
  }

  #stackPicture({ times: [ours], interfaces, drops }: StackReading, seconds: number): StackPicture {
    return {
      stages: ours?.stages ?? [],
      interfaces: interfaces.map((traffic) => {
        const rates = this.#interfaces.get(traffic.name) ?? { received: new Rate(), sent: new Rate() }
        this.#interfaces.set(traffic.name, rates)
        rates.received.total = traffic.receiveBytes
        rates.sent.total = traffic.transmitBytes
        rates.received.take(seconds)
        rates.sent.take(seconds)
        return { traffic, ...rates }
      }),
      drops: new Map(drops.map(({ reason, packets }) => [reason, packets])),
    }
  }
}

/** What CLOCK_MONOTONIC is short of Unix time. */
function unixOffsetMs(): number {
  return Date.now() - Number(process.hrtime.bigint()) / 1e6
}

/** `TIME_WAIT` for `timeWait`. */
function stateName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
}
