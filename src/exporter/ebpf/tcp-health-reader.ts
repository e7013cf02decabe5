/** Attaches tcp-health.bpf.c and reads its sums. Synchronous: for a worker, not for the main thread. */
import type { Logger } from '../../common/logger.ts'
import {
  decodeTcpHealth,
  joinTcpHealth,
  LongConnections,
  ownerKeySize,
  tcpConnectionSize,
  tcpHealthSize,
  type OwnerCount,
  type TcpHealthRows,
} from '../core/decode-tcp-health.ts'
import { BpfError } from './bpf-error.ts'
import type { BpfMap } from './bpf-map.ts'
import { BpfObject } from './bpf-object.ts'
import { Libbpf } from './libbpf.ts'
import { bpfObjectFile } from './objects.ts'

export interface TcpHealthReaderOptions {
  /** The file of libbpf.so.1. @default as the system finds it */
  readonly libbpf?: string | undefined
  /** The folder of the compiled objects. @default the program's own */
  readonly objects?: string | undefined
  /** Connections that are remembered at most, in the kernel's memory. @default as compiled: 131072, about 14 MiB */
  readonly maxConnections?: number | undefined
  /** Owners (containers) that are counted at most. @default as compiled: 8192 */
  readonly maxOwners?: number | undefined
  readonly log: Logger
}

/** The sums at one moment. */
export interface TcpHealthReading {
  readonly rows: TcpHealthRows
  /** Connections that have stood for longer than was asked for. */
  readonly long: readonly OwnerCount[]
  /** Connections that are remembered. */
  readonly connections: number
  /** Events that were not counted, since the start: the map of owners was full, or a processor was in the program already. */
  readonly lost: number
}

/** Owner to be forgotten: its counters in the kernel end. */
export interface OwnerKey {
  readonly cgroupId: number
  readonly namespace: number
}

/** Connections that are read by one call. */
const connectionBatch = 8_192
/** Owners that are read by one call: each has counters for every processor, 16 KiB on a machine with 64. */
const ownerBatch = 128

export class TcpHealthReader implements Disposable {
  readonly #owned: DisposableStack
  readonly #object: BpfObject
  readonly #owners: BpfMap
  readonly #connections: BpfMap
  readonly #losses: BpfMap
  readonly #processors: number

  /**
   * Loads the programs into the kernel and attaches them.
   *
   * @throws LibbpfError, BpfError when that cannot be done
   */
  constructor({ libbpf: path, objects, maxConnections, maxOwners, log }: TcpHealthReaderOptions) {
    using owned = new DisposableStack()
    const libbpf = Libbpf.load(path)
    const file = bpfObjectFile('tcp-health', objects)
    const maxEntries = {
      ...(maxConnections === undefined ? {} : { connections: maxConnections }),
      ...(maxOwners === undefined ? {} : { owners: maxOwners }),
    }
    this.#object = owned.use(BpfObject.load(libbpf, file, { maxEntries, log }))
    this.#owners = this.#object.map('owners')
    this.#connections = this.#object.map('connections')
    this.#losses = this.#object.map('losses')
    this.#processors = libbpf.native.libbpf_num_possible_cpus()
    if (this.#owners.valueSize !== tcpHealthSize || this.#connections.valueSize !== tcpConnectionSize)
      throw new BpfError('bpf_failed', `Cannot use ${file}: it was compiled from other sources`)
    for (const program of this.#object.programs()) owned.use(program.attach(libbpf, log))
    this.#owned = owned.move()
  }

  /**
   * @param longSeconds connections that have stood for longer count as long ones
   * @throws BpfError
   */
  read(longSeconds: number): TcpHealthReading {
    const long = new LongConnections(process.hrtime.bigint() - BigInt(Math.round(longSeconds * 1e9)))
    for (const { values, length } of this.#connections.batches(connectionBatch, tcpConnectionSize))
      long.add(values, length)
    return { rows: this.#rows(), long: long.counts, connections: long.seen, lost: this.#lost() }
  }

  /** Frees the places of owners that are no more. */
  forget(owners: readonly OwnerKey[]): void {
    const key = new DataView(new ArrayBuffer(ownerKeySize))
    for (const { cgroupId, namespace } of owners) {
      key.setBigUint64(0, BigInt(cgroupId), true)
      key.setUint32(8, namespace, true)
      this.#owners.delete(new Uint8Array(key.buffer))
    }
  }

  [Symbol.dispose](): void {
    this.#owned.dispose()
  }

  #rows(): TcpHealthRows {
    const bytesPerValue = tcpHealthSize * this.#processors
    const parts: TcpHealthRows[] = []
    for (const { keys, values, length } of this.#owners.batches(ownerBatch, bytesPerValue))
      parts.push(decodeTcpHealth(keys, values, length, this.#processors))
    return joinTcpHealth(parts)
  }

  #lost(): number {
    const values = new BigUint64Array(this.#processors)
    this.#losses.lookup(new Uint8Array(4), new Uint8Array(values.buffer))
    const unplaced = values.reduce((sum, value) => sum + value, 0n)
    const missed = this.#object.programs().reduce((sum, program) => sum + program.recursionMisses(), 0n)
    return Number(unplaced + missed)
  }
}
