/** Loads sockops.bpf.c, attaches it to cgroups and takes it away again. Synchronous: for a worker, not for the main thread. */
import { closeSync, openSync } from 'node:fs'
import type { Logger } from '../../common/logger.ts'
import {
  callsOf,
  decodeEnds,
  encodeChosen,
  sockopsChosenSize,
  sockopsCountersSize,
  sockopsEndSize,
  sumCounters,
  type ExcludingCall,
  type SockopsEnd,
  type SockopsCounters,
} from '../core/sockops/layout.ts'
import { BpfError } from './bpf-error.ts'
import type { BpfMap } from './bpf-map.ts'
import { BpfObject } from './bpf-object.ts'
import type { BpfProgram } from './bpf-program.ts'
import { foreignMessagePrograms, otherOwners } from './hook-owners.ts'
import { Libbpf } from './libbpf.ts'
import { bpfObjectFile } from './objects.ts'

export interface SockopsOptions {
  /** The file of libbpf.so.1. @default as the system finds it */
  readonly libbpf?: string | undefined
  /** The folder of the compiled objects. @default the program's own */
  readonly objects?: string | undefined
  /** Ends of connections that are held at most. @default as compiled: 32768 */
  readonly maxConnections?: number | undefined
  /** For how long a container is watched for calls that exclude it before its connections are short-cut. */
  readonly observeSeconds: number
  readonly log: Logger
}

/** A container whose connections may be short-cut. */
export interface SockopsContainer {
  /** Folder of its cgroup v2. */
  readonly folder: string
  /** Ids of that cgroup and of those below it. */
  readonly cgroupIds: readonly number[]
}

/** What was done up to now. */
export interface SockopsReading extends SockopsCounters {
  /** Containers that are attached to. */
  readonly containers: number
  /** Ends of connections that are held. */
  readonly open: number
  /** Cgroups that made calls which exclude them, by call. */
  readonly excluded: Readonly<Partial<Record<ExcludingCall, number>>>
}

/** BPF_SK_MSG_VERDICT of enum bpf_attach_type. */
const skMsgVerdict = 7
/** For how long the programs go on without being told that we are alive, in nanoseconds. */
const aliveNs = 5_000_000_000n
const sweepBatch = 4_096

interface Attached {
  readonly cgroupIds: readonly number[]
  readonly link: Disposable
}

export class SockopsPrograms implements Disposable {
  readonly #owned: DisposableStack
  readonly #libbpf: Libbpf
  readonly #log: Logger
  readonly #processors: number
  readonly #observeNs: bigint
  readonly #ops: BpfProgram
  readonly #sweep: BpfProgram
  readonly #maps: Readonly<Record<'sockets' | 'ends' | 'flows' | 'chosen' | 'counters' | 'settings', BpfMap>>
  readonly #attached = new Map<string, Attached>()
  /** Cgroups of containers that are no longer chosen, for as long as there may be ends of theirs. */
  readonly #removed = new Set<number>()
  /** Cgroups that were excluded or removed when they were last looked at. */
  #leaving: ReadonlySet<number> = new Set()

  /**
   * Loads the programs. Nothing is touched until {@link watch}.
   *
   * @throws LibbpfError, BpfError when that cannot be done; `sockops_taken` when somebody else does the like on this node
   */
  constructor({ libbpf: path, objects, maxConnections, observeSeconds, log }: SockopsOptions) {
    using owned = new DisposableStack()
    this.#libbpf = Libbpf.load(path)
    const foreign = foreignMessagePrograms(this.#libbpf)
    if (foreign.length > 0)
      throw new BpfError(
        'sockops_taken',
        `Cannot short-cut connections beside programs of somebody else that do: ${foreign.join(', ')}`,
      )
    this.#observeNs = BigInt(observeSeconds) * 1_000_000_000n
    this.#log = log
    const file = bpfObjectFile('sockops', objects)
    const maxEntries =
      maxConnections === undefined
        ? {}
        : { podsonar_socks: maxConnections, ends: maxConnections, flows: maxConnections }
    const object = owned.use(BpfObject.load(this.#libbpf, file, { maxEntries, log }))
    this.#processors = this.#libbpf.native.libbpf_num_possible_cpus()
    this.#maps = {
      ...{ sockets: object.map('podsonar_socks'), ends: object.map('ends'), flows: object.map('flows') },
      ...{ chosen: object.map('chosen'), counters: object.map('counters'), settings: object.map('settings') },
    }
    if (this.#maps.ends.valueSize !== sockopsEndSize || this.#maps.counters.valueSize !== sockopsCountersSize)
      throw new BpfError('bpf_failed', `Cannot use ${file}: it was compiled from other sources`)
    this.#ops = object.program('podsonar_ops')
    this.#sweep = object.program('podsonar_sweep')
    object.program('podsonar_msg').attachToMap(this.#maps.sockets, skMsgVerdict)
    for (const name of ['podsonar_calls', 'podsonar_uring', 'podsonar_recv'])
      owned.use(object.program(name).attach(this.#libbpf, log))
    this.#owned = owned.move()
  }

  /**
   * From now on, new connections of these containers are held, and of no others. Also says that we are alive, and lets go
   * of the sockets of containers that have excluded themselves or are no longer among them: to be called every second or two.
   *
   * @returns the programs of somebody else because of which some containers were not attached to
   * @throws BpfError
   */
  watch(containers: readonly SockopsContainer[]): readonly string[] {
    this.#aliveUntil(process.hrtime.bigint() + aliveNs)
    const wanted = new Map(containers.map((container) => [container.folder, container]))
    for (const [folder, attached] of this.#attached) {
      if (wanted.has(folder)) continue
      attached.link[Symbol.dispose]()
      for (const id of attached.cgroupIds) this.#remove(id)
      this.#attached.delete(folder)
    }
    const taken: string[] = []
    for (const { folder, cgroupIds } of wanted.values()) {
      const known = this.#attached.get(folder)
      const link = known?.link ?? this.#attach(folder, taken)
      if (link === undefined) continue
      for (const id of cgroupIds) if (known?.cgroupIds.includes(id) !== true) this.#choose(id)
      for (const id of known?.cgroupIds ?? []) if (!cgroupIds.includes(id)) this.#remove(id)
      this.#attached.set(folder, { cgroupIds, link })
    }
    this.#letGoOfLeaving()
    return [...new Set(taken)]
  }

  read(): SockopsReading {
    const { counters, ends } = this.#maps
    const sums = new BigUint64Array((this.#processors * sockopsCountersSize) / 8)
    counters.lookup(new Uint8Array(4), new Uint8Array(sums.buffer))
    const excluded: Partial<Record<ExcludingCall, number>> = {}
    for (const { calls } of this.#chosen())
      for (const call of calls) excluded[call] = (excluded[call] ?? 0) + 1
    let open = 0
    for (const { length } of ends.batches(sweepBatch, sockopsEndSize)) open += length
    return { ...sumCounters(sums), containers: this.#attached.size, open, excluded }
  }

  /** From now on no connection is added, and no message handed over. */
  halt(): void {
    for (const { link } of this.#attached.values()) link[Symbol.dispose]()
    this.#attached.clear()
    this.#aliveUntil(0n)
  }

  /**
   * After {@link halt}: gives back the sockets in whose queue nothing waits.
   *
   * @returns how many are left, because their readers have not read what was handed to them
   */
  release(): number {
    return this.#letGo(() => true).length
  }

  /**
   * Sockets that were not released keep their queue, the program and the maps until they are closed: none loses a byte.
   */
  [Symbol.dispose](): void {
    this.halt()
    this.#owned.dispose()
  }

  #attach(folder: string, taken: string[]): Disposable | undefined {
    const fd = openSync(folder, 'r')
    try {
      const owners = otherOwners(this.#libbpf, fd)
      taken.push(...owners)
      return owners.length > 0 ? undefined : this.#ops.attachToCgroup(this.#libbpf, this.#log, fd)
    } finally {
      closeSync(fd)
    }
  }

  #choose(cgroupId: number): void {
    this.#removed.delete(cgroupId)
    this.#maps.chosen.update(keyOf(cgroupId), encodeChosen(process.hrtime.bigint() + this.#observeNs))
  }

  #remove(cgroupId: number): void {
    this.#maps.chosen.delete(keyOf(cgroupId))
    this.#removed.add(cgroupId)
  }

  *#chosen(): Generator<{ readonly cgroupId: number; readonly calls: readonly ExcludingCall[] }> {
    for (const { keys, values, length } of this.#maps.chosen.batches(sweepBatch, sockopsChosenSize)) {
      const [ids, entries] = [
        new DataView(keys.buffer, keys.byteOffset),
        new DataView(values.buffer, values.byteOffset),
      ]
      for (let k = 0; k < length; k += 1)
        yield {
          cgroupId: Number(ids.getBigUint64(k * 8, true)),
          calls: callsOf(entries.getUint32(k * sockopsChosenSize, true)),
        }
    }
  }

  /** Only those that were leaving the last time too: what was under way to them then has arrived. */
  #letGoOfLeaving(): void {
    const before = this.#leaving
    const left = before.size > 0 ? this.#letGo((cgroupId) => before.has(cgroupId)) : []
    for (const id of before) if (!left.some(({ cgroupId }) => cgroupId === id)) this.#removed.delete(id)
    const excluded = [...this.#chosen()].flatMap(({ cgroupId, calls }) => (calls.length > 0 ? cgroupId : []))
    this.#leaving = new Set([...excluded, ...this.#removed])
  }

  /**
   * Gives back those sockets of these cgroups in whose queue nothing waits, and forgets those that have closed unseen, as they
   * do when their container was removed before.
   *
   * @returns what is left
   */
  #letGo(which: (cgroupId: number) => boolean): SockopsEnd[] {
    const { sockets, ends: all, flows } = this.#maps
    this.#sweep.run([])
    const ends: SockopsEnd[] = []
    for (const { keys, values, length } of all.batches(sweepBatch, sockopsEndSize))
      ends.push(...decodeEnds(keys, values, length).filter(({ cgroupId }) => which(cgroupId)))
    for (const { cookie, flow } of ends.filter(({ drained }) => drained)) {
      sockets.delete(keyOf(cookie))
      all.delete(keyOf(cookie))
      // Unless another connection has the same addresses and ports by now.
      const found = new BigUint64Array(1)
      if (flows.lookup(flow, new Uint8Array(found.buffer)) && found[0] === cookie) flows.delete(flow)
    }
    return ends.filter(({ drained }) => !drained)
  }

  #aliveUntil(ns: bigint): void {
    this.#maps.settings.update(new Uint8Array(4), keyOf(ns))
  }
}

function keyOf(value: number | bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)
}
