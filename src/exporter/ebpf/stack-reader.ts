/** Attaches stack.bpf.c, tells it whom to watch and reads its counts. Synchronous: for a worker, not for the main thread. */
import { readFileSync } from 'node:fs'
import type { Logger } from '../../common/logger.ts'
import { dropReasonName, readBtfEnum } from '../core/btf-enum.ts'
import {
  decodeStackDrop,
  decodeStackInterface,
  decodeStackTimes,
  encodeStackFilter,
  namespaceOfKey,
  stackDropKeySize,
  stackInterfaceKeySize,
  stackInterfaceSize,
  stackTimesSize,
  type InterfaceTraffic,
  type StageTimes,
} from '../core/decode-stack.ts'
import { BpfError } from './bpf-error.ts'
import type { BpfMap } from './bpf-map.ts'
import { BpfObject } from './bpf-object.ts'
import type { BpfProgram } from './bpf-program.ts'
import { kernelHasTracepoint } from './kernel-types.ts'
import { Libbpf } from './libbpf.ts'
import { bpfObjectFile } from './objects.ts'

export interface StackReaderOptions {
  /** The file of libbpf.so.1. @default as the system finds it */
  readonly libbpf?: string | undefined
  /** The folder of the compiled objects. @default the program's own */
  readonly objects?: string | undefined
  readonly log: Logger
}

/** All since the namespaces were chosen. */
export interface StackReading {
  readonly times: readonly NamespaceTimes[]
  readonly interfaces: readonly InterfaceTraffic[]
  readonly drops: readonly NamedDrops[]
  /** Events that were not counted, since the start: a map was full, or a processor was in the program already. */
  readonly lost: number
}

export interface NamespaceTimes {
  /** Inode of the network namespace. */
  readonly namespace: number
  /** In the order of `stackStages`. */
  readonly stages: readonly StageTimes[]
}

/** Packets that were dropped, by the kernel's own name for the reason. */
export interface NamedDrops {
  readonly namespace: number
  readonly reason: string
  readonly packets: number
}

/** Entries that are read by one call. */
const batch = 1_024
const kernelTypes = '/sys/kernel/btf/vmlinux'
/** Programs that are left out where the kernel has not their tracepoint: Linux 6.3 has all. */
const newerTracepoints: Readonly<Record<string, string>> = {
  on_ready: 'sk_data_ready',
  on_datagram_read: 'sock_recv_length',
  on_written: 'sock_send_length',
}

export class StackReader implements Disposable {
  readonly #owned: DisposableStack
  readonly #attach: () => Disposable
  readonly #programs: readonly BpfProgram[]
  readonly #filter: BpfMap
  readonly #times: BpfMap
  readonly #interfaces: BpfMap
  readonly #drops: BpfMap
  readonly #losses: BpfMap
  readonly #processors: number
  readonly #watched = new Set<number>()
  readonly #reasons: ReadonlyMap<number, string>
  /** While something is watched. */
  #attached: Disposable | undefined

  /**
   * Loads the programs into the kernel. They are attached while something is watched: even one that does nothing costs
   * every packet of the node.
   *
   * @throws LibbpfError, BpfError when that cannot be done
   */
  constructor({ libbpf: path, objects, log }: StackReaderOptions) {
    using owned = new DisposableStack()
    const libbpf = Libbpf.load(path)
    const file = bpfObjectFile('stack', objects)
    const loads = (program: string): boolean => {
      const newer = newerTracepoints[program]
      return newer === undefined || kernelHasTracepoint(libbpf, newer)
    }
    const object = owned.use(BpfObject.load(libbpf, file, { loads, log }))
    this.#filter = object.map('.bss.filter')
    this.#times = object.map('times')
    this.#interfaces = object.map('interfaces')
    this.#drops = object.map('drops')
    this.#losses = object.map('losses')
    this.#processors = libbpf.native.libbpf_num_possible_cpus()
    if (this.#times.valueSize !== stackTimesSize || this.#interfaces.valueSize !== stackInterfaceSize)
      throw new BpfError('bpf_failed', `Cannot use ${file}: it was compiled from other sources`)
    this.#reasons = readBtfEnum(readFileSync(kernelTypes), 'skb_drop_reason')
    this.#programs = object.programs().filter(({ name }) => loads(name))
    this.#attach = () => {
      using links = new DisposableStack()
      for (const program of this.#programs) links.use(program.attach(libbpf, log))
      return links.move()
    }
    this.#owned = owned.move()
  }

  /**
   * From now on, these network namespaces are watched and no others; the counts of those that no longer are end.
   *
   * @throws BpfError when they are more than the map takes, or the programs cannot be attached
   */
  watch(namespaces: Iterable<number>): void {
    const wanted = new Set(namespaces)
    for (const inode of wanted) {
      if (this.#watched.has(inode)) continue
      this.#times.update(keyOf(inode), new Uint8Array(stackTimesSize * this.#processors))
      this.#watched.add(inode)
    }
    const left = [...this.#watched].filter((inode) => !wanted.has(inode))
    for (const inode of left) this.#watched.delete(inode)
    this.#filter.update(new Uint8Array(4), encodeStackFilter(this.#watched))
    if (this.#watched.size > 0) this.#attached ??= this.#attach()
    else this.#detach()
    for (const inode of left) this.#forget(inode)
  }

  /** @throws BpfError */
  read(): StackReading {
    const times: NamespaceTimes[] = []
    for (const namespace of this.#watched) {
      const values = new Uint8Array(stackTimesSize * this.#processors)
      if (this.#times.lookup(keyOf(namespace), values))
        times.push({ namespace, stages: decodeStackTimes(values) })
    }
    const interfaces = [...this.#interfaceEntries()].map(([key, values]) => decodeStackInterface(key, values))
    const drops = [...this.#dropEntries()].map(([key, value]): NamedDrops => {
      const { namespace, reason, packets } = decodeStackDrop(key, value)
      return { namespace, reason: dropReasonName(this.#reasons, reason), packets }
    })
    const isWatched = ({ namespace }: { namespace: number }): boolean => this.#watched.has(namespace)
    return {
      times,
      interfaces: interfaces.filter(isWatched),
      drops: drops.filter(isWatched),
      lost: this.#lost(),
    }
  }

  [Symbol.dispose](): void {
    this.#detach()
    this.#owned.dispose()
  }

  #detach(): void {
    this.#attached?.[Symbol.dispose]()
    this.#attached = undefined
  }

  #forget(inode: number): void {
    this.#times.delete(keyOf(inode))
    const entries = [
      ...[...this.#interfaceEntries()].map(([key]) => ({ map: this.#interfaces, key })),
      ...[...this.#dropEntries()].map(([key]) => ({ map: this.#drops, key })),
    ]
    for (const { map, key } of entries) if (namespaceOfKey(key) === inode) map.delete(key)
  }

  #interfaceEntries(): Generator<[key: Uint8Array, values: Uint8Array]> {
    return entriesOf(this.#interfaces, stackInterfaceKeySize, stackInterfaceSize * this.#processors)
  }

  #dropEntries(): Generator<[key: Uint8Array, value: Uint8Array]> {
    return entriesOf(this.#drops, stackDropKeySize, 8)
  }

  #lost(): number {
    const values = new BigUint64Array(this.#processors * 2)
    this.#losses.lookup(new Uint8Array(4), new Uint8Array(values.buffer))
    const unplaced = values.reduce((sum, value) => sum + value, 0n)
    const missed = this.#programs.reduce((sum, program) => sum + program.recursionMisses(), 0n)
    return Number(unplaced + missed)
  }
}

function* entriesOf(
  map: BpfMap,
  keySize: number,
  valueSize: number,
): Generator<[key: Uint8Array, value: Uint8Array]> {
  for (const { keys, values, length } of map.batches(Math.min(batch, map.maxEntries), valueSize))
    for (let row = 0; row < length; row += 1)
      yield [
        keys.slice(row * keySize, (row + 1) * keySize),
        values.slice(row * valueSize, (row + 1) * valueSize),
      ]
}

function keyOf(inode: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(inode).buffer)
}
