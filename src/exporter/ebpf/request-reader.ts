/** Attaches requests.bpf.c, reads its ring and counts what comes out. For a worker: it works whenever there are records. */
import type { Logger } from '../../common/logger.ts'
import { requestLossesSize, RequestEvent } from '../core/requests/decode-event.ts'
import type { Exchange } from '../core/requests/exchange.ts'
import { RequestCounts, type RequestSeries } from '../core/requests/series.ts'
import { isTraced, type ExchangeSpan } from '../core/requests/spans.ts'
import { encodeSettings, nextSampleMask } from '../core/requests/settings.ts'
import { RequestTracker } from '../core/requests/tracker.ts'
import type { BpfMap } from './bpf-map.ts'
import { BpfObject } from './bpf-object.ts'
import type { BpfProgram } from './bpf-program.ts'
import { kernelHasTracepoint } from './kernel-types.ts'
import { Libbpf } from './libbpf.ts'
import { bpfObjectFile } from './objects.ts'
import { RingBuffer } from './ring-buffer.ts'
import { isTlsProgram, TlsProbes, type TlsLibrary } from './tls-probes.ts'

/**
 * Where requests are seen: `socket`: at tracepoints of sockets, of Linux 6.3; `syscall`: at the exit of every system call;
 * `auto`: the first that the kernel has.
 */
export type RequestHooks = 'auto' | 'socket' | 'syscall'
export type UsedHooks = Exclude<RequestHooks, 'auto'>

export interface RequestReaderOptions {
  /** The file of libbpf.so.1. @default as the system finds it */
  readonly libbpf?: string | undefined
  /** The folder of the compiled objects. @default the program's own */
  readonly objects?: string | undefined
  /** @default 'auto' */
  readonly hooks?: RequestHooks | undefined
  /** Bytes of the ring; a power of two. @default as compiled: 16 MiB */
  readonly ringBytes?: number | undefined
  /** See RequestCounts. */
  readonly maxSeries: number
  /** Connections that are followed at most. */
  readonly maxConnections: number
  /** Share of the requests outside of a trace that become spans; undefined: none does, of a trace neither. */
  readonly traceRatio?: number | undefined
  /** Share of a processor that reading may take, about: of HTTP/1 requests some are left out then. @default 1 */
  readonly cpuShare?: number | undefined
  /** Whether TLS libraries may be followed. @default false */
  readonly followTls?: boolean | undefined
  /** Told of each exchange, besides its being counted. */
  readonly onExchange?: (owner: string, exchange: Exchange) => void
  readonly log: Logger
}

/** A cgroup whose sockets are watched. */
export interface WatchedCgroup {
  readonly cgroupId: number
  /** Labels of the container that it is of, rendered: its series are summed under them. */
  readonly owner: string
}

/** The counts at one moment. */
export interface RequestReading {
  readonly series: readonly OwnedSeries[]
  /** Connections that are followed. */
  readonly connections: number
  /** All since the start: records that the ring had no room for, or that a processor missed. */
  readonly lost: number
  /** All since the start: reads and writes of TLS libraries whose connection is not known. */
  readonly unattributed: number
  /** TLS libraries that are followed. */
  readonly tlsLibraries: number
  /** Exchanges that were left out, because the ring filled up; others were counted in their place. */
  readonly sampledOut: number
  /** Exchanges that were counted with `~other`, and those that were not counted, for want of series. */
  readonly folded: number
  readonly dropped: number
  /** Connections that were given up for want of room. */
  readonly evicted: number
}

export interface OwnedSeries extends RequestSeries {
  readonly owner: string
}

/** See `takeSpans`. */
export interface TakenSpans {
  readonly spans: readonly ExchangeSpan[]
  readonly dropped: number
}

/** Spans that wait to be taken at most. */
const maxSpans = 8_192
/** Records that are read before others have their turn. */
const batch = 5_000
/**
 * How soon the ring is looked at again, in milliseconds. Between the two as long as it takes to fill this share of it: each look
 * costs some time of its own, and what comes meanwhile is far from filling it, even when much more comes at once.
 */
const [busyMs, idleMs] = [5, 80]
const filledShare = 1 / 16
/** How long series are kept whose container is gone: it may be restarted. */
const keepMs = 300_000
/** After how long a silent connection is taken for ended: its end was lost, or it was stopped being watched. */
const silentNs = 600e9
const sweepMs = 30_000
/** How often sampling is looked at. */
const adjustMs = 100
/** Entries of the maps that only TLS needs, where it is not followed. */
const unusedMaps = { tls_connections: 1, tls_sockets: 1, tls_calls: 1, tls_heard: 1 }

export class RequestReader implements Disposable {
  /** To which hooks the programs are attached. */
  readonly hooks: UsedHooks
  readonly #owned: DisposableStack
  readonly #object: BpfObject
  readonly #chosen: BpfMap
  readonly #settings: BpfMap
  readonly #cpuShare: number
  readonly #losses: BpfMap
  readonly #ring: RingBuffer
  readonly #processors: number
  readonly #programs: readonly BpfProgram[]
  readonly #tracker: RequestTracker
  readonly #tls: TlsProbes | undefined
  readonly #counts: RequestCounts
  readonly #event = new RequestEvent()
  readonly #watched = new Map<number, string>()
  readonly #lastWatched = new Map<string, number>()
  #spans: ExchangeSpan[] = []
  #droppedSpans = 0
  #sampleMask = 0
  /** See RequestSettings. */
  #generation = 1
  /** Processor time of this thread when the sampling was last looked at: waiting for a processor is no work. */
  #usedMs = threadMs()
  #adjustedAt = performance.now()
  #timer: NodeJS.Timeout | undefined
  #pauseMs = idleMs
  #sweptAt = performance.now()
  #unixOffsetSeconds = unixOffsetSeconds()

  /**
   * Loads the programs into the kernel and attaches them. Nothing is watched until `watch`.
   *
   * @throws LibbpfError, BpfError when that cannot be done
   */
  constructor({
    libbpf: path,
    objects,
    hooks = 'auto',
    ringBytes,
    maxSeries,
    maxConnections,
    traceRatio,
    cpuShare = 1,
    followTls = false,
    onExchange,
    log,
  }: RequestReaderOptions) {
    using owned = new DisposableStack()
    const libbpf = Libbpf.load(path)
    this.hooks = usedHooks(hooks, libbpf)
    const maxEntries = {
      ...(ringBytes === undefined ? {} : { events: ringBytes }),
      ...(followTls ? {} : unusedMaps),
    }
    const loads = (program: string): boolean => followTls || !isTlsProgram(program)
    this.#object = owned.use(
      BpfObject.load(libbpf, bpfObjectFile(objectNames[this.hooks], objects), { maxEntries, loads, log }),
    )
    this.#chosen = this.#object.map('chosen')
    this.#settings = this.#object.map('.bss.settings')
    this.#cpuShare = cpuShare
    this.#losses = this.#object.map('losses')
    this.#ring = owned.use(new RingBuffer(this.#object.map('events')))
    this.#processors = libbpf.native.libbpf_num_possible_cpus()
    this.#counts = new RequestCounts({ maxSeries })
    this.#tracker = new RequestTracker({
      maxConnections,
      onExchange: (cgroupId, exchange, remoteAddress, remotePort) => {
        const owner = this.#watched.get(cgroupId)
        if (owner === undefined) return
        this.#counts.add(owner, exchange, this.#unixOffsetSeconds)
        onExchange?.(owner, exchange)
        if (traceRatio !== undefined && isTraced(exchange, traceRatio, Math.random()))
          this.#addSpan({ owner, exchange, remoteAddress, remotePort })
      },
    })
    this.#programs = this.#object.programs().filter(({ name }) => loads(name))
    for (const program of this.#programs)
      if (!isTlsProgram(program.name)) owned.use(program.attach(libbpf, log))
    this.#tls = followTls ? owned.use(new TlsProbes({ libbpf, programs: this.#programs, log })) : undefined
    owned.defer(() => {
      clearTimeout(this.#timer)
    })
    this.#owned = owned.move()
    this.#schedule(idleMs)
  }

  /**
   * From now on, these are watched and no others.
   *
   * @param libraries what processes of these cgroups speak TLS with
   * @returns why libraries are not followed, when they are not
   */
  watch(cgroups: readonly WatchedCgroup[], libraries: readonly TlsLibrary[] = []): string | undefined {
    this.#drain(Infinity)
    const wanted = new Map(cgroups.map(({ cgroupId, owner }) => [cgroupId, owner]))
    const now = performance.now()
    for (const [cgroupId, owner] of wanted) {
      if (!this.#watched.has(cgroupId)) this.#chosen.update(keyOf(cgroupId), new Uint8Array([1, 0, 0, 0]))
      this.#watched.set(cgroupId, owner)
      this.#lastWatched.set(owner, now)
    }
    for (const cgroupId of this.#watched.keys()) {
      if (wanted.has(cgroupId)) continue
      this.#chosen.delete(keyOf(cgroupId))
      this.#watched.delete(cgroupId)
    }
    this.#generation += 1
    this.#tell()
    for (const [owner, at] of this.#lastWatched) if (now - at > keepMs) this.#lastWatched.delete(owner)
    this.#counts.keep(new Set(this.#lastWatched.keys()))
    return this.#tls?.follow(libraries)
  }

  /** @param calls series of gRPC calls are read; else those of HTTP */
  read(calls: boolean): RequestReading {
    this.#drain(Infinity)
    const { lost, sampledOut, unattributed } = this.#readLosses()
    const series: OwnedSeries[] = []
    for (const [owner, all] of this.#counts.owners)
      for (const one of all.values()) if (one.kind.startsWith('rpc') === calls) series.push({ ...one, owner })
    return {
      series,
      ...{ connections: this.#tracker.size, evicted: this.#tracker.evicted, lost, sampledOut },
      ...{ unattributed, tlsLibraries: this.#tls?.followed ?? 0 },
      ...{ folded: this.#counts.folded, dropped: this.#counts.dropped },
    }
  }

  /** The spans that have come about since the last call, and how many had no room. */
  takeSpans(): TakenSpans {
    this.#drain(Infinity)
    const taken = { spans: this.#spans, dropped: this.#droppedSpans }
    this.#spans = []
    this.#droppedSpans = 0
    return taken
  }

  [Symbol.dispose](): void {
    this.#owned.dispose()
  }

  #addSpan(span: ExchangeSpan): void {
    if (this.#spans.length < maxSpans) this.#spans.push(span)
    else this.#droppedSpans += 1
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#pauseMs = this.#nextPauseMs()
      const records = this.#drain(batch)
      this.#adjust()
      this.#sweep()
      this.#schedule(records === batch ? 0 : this.#pauseMs)
    }, ms)
  }

  /** By what came during the last one; never more than twice as long. */
  #nextPauseMs(): number {
    const wantedMs = (this.#pauseMs * this.#ring.size * filledShare) / Math.max(1, this.#ring.waiting)
    return Math.max(busyMs, Math.min(idleMs, 2 * this.#pauseMs, wantedMs))
  }

  #drain(limit: number): number {
    const event = this.#event
    return this.#ring.drain(limit, (memory, view, at, length) => {
      if (event.decode(memory, view, at, length)) this.#tracker.add(event)
    })
  }

  /** Samples more, or less, so that reading takes about its share. */
  #adjust(): void {
    const elapsedMs = performance.now() - this.#adjustedAt
    if (elapsedMs < adjustMs) return
    const usedMs = threadMs()
    const mask = nextSampleMask(this.#sampleMask, (usedMs - this.#usedMs) / elapsedMs, this.#cpuShare)
    this.#usedMs = usedMs
    this.#adjustedAt = performance.now()
    if (mask === this.#sampleMask) return
    this.#sampleMask = mask
    this.#tell()
  }

  #tell(): void {
    const settings = encodeSettings({
      ...{ sampleMask: this.#sampleMask, generation: this.#generation, ringBytes: this.#ring.size },
      ...{ followTls: this.#tls !== undefined, cgroupIds: this.#watched.keys() },
    })
    this.#settings.update(new Uint8Array(4), settings)
  }

  #sweep(): void {
    if (performance.now() - this.#sweptAt < sweepMs) return
    this.#sweptAt = performance.now()
    this.#unixOffsetSeconds = unixOffsetSeconds()
    this.#tracker.forget(Number(process.hrtime.bigint()) - silentNs)
  }

  #readLosses(): { lost: number; sampledOut: number; unattributed: number } {
    const words = requestLossesSize / 8
    const values = new BigUint64Array(this.#processors * words)
    this.#losses.lookup(new Uint8Array(4), new Uint8Array(values.buffer))
    const sum = (word: number): number =>
      values.reduce((total, value, index) => total + (index % words === word ? Number(value) : 0), 0)
    const missed = this.#programs.reduce((total, program) => total + program.recursionMisses(), 0n)
    return { lost: sum(0) + sum(1) + Number(missed), sampledOut: sum(2), unattributed: sum(3) }
  }
}

const objectNames: Readonly<Record<UsedHooks, string>> = { socket: 'requests', syscall: 'requests-syscalls' }

function usedHooks(hooks: RequestHooks, libbpf: Libbpf): UsedHooks {
  if (hooks !== 'auto') return hooks
  return kernelHasTracepoint(libbpf, 'sock_send_length') ? 'socket' : 'syscall'
}

function keyOf(cgroupId: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(cgroupId)).buffer)
}

/** Processor time that this thread has taken, in milliseconds. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1e3
}

/** What CLOCK_MONOTONIC is short of Unix time. */
function unixOffsetSeconds(): number {
  return Date.now() / 1e3 - Number(process.hrtime.bigint()) / 1e9
}
