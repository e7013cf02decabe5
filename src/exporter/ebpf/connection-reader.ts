/** Attaches connection-events.bpf.c, tells it whom to watch and reads its ring. Synchronous. */
import type { Logger } from '../../common/logger.ts'
import { decodeConnectionEvent, type ConnectionEvent } from '../core/decode-connection-event.ts'
import type { BpfMap } from './bpf-map.ts'
import { BpfObject } from './bpf-object.ts'
import { Libbpf } from './libbpf.ts'
import { bpfObjectFile } from './objects.ts'
import { RingBuffer } from './ring-buffer.ts'

export interface ConnectionReaderOptions {
  /** The file of libbpf.so.1. @default as the system finds it */
  readonly libbpf?: string | undefined
  /** The folder of the compiled objects. @default the program's own */
  readonly objects?: string | undefined
  /** Bytes of the ring; a power of two. @default as compiled: 1 MiB, about 9,000 events */
  readonly ringBytes?: number | undefined
  readonly log: Logger
}

export class ConnectionReader implements Disposable {
  readonly #owned: DisposableStack
  readonly #object: BpfObject
  readonly #chosen: BpfMap
  readonly #losses: BpfMap
  readonly #ring: RingBuffer
  readonly #processors: number
  readonly #watched = new Set<number>()

  /**
   * Loads the program into the kernel and attaches it. Nothing is watched until `watch`.
   *
   * @throws LibbpfError, BpfError when that cannot be done
   */
  constructor({ libbpf: path, objects, ringBytes, log }: ConnectionReaderOptions) {
    using owned = new DisposableStack()
    const libbpf = Libbpf.load(path)
    const maxEntries = ringBytes === undefined ? {} : { events: ringBytes }
    const file = bpfObjectFile('connection-events', objects)
    this.#object = owned.use(BpfObject.load(libbpf, file, { maxEntries, log }))
    this.#chosen = this.#object.map('chosen')
    this.#losses = this.#object.map('losses')
    this.#ring = owned.use(new RingBuffer(this.#object.map('events')))
    this.#processors = libbpf.native.libbpf_num_possible_cpus()
    for (const program of this.#object.programs()) owned.use(program.attach(libbpf, log))
    this.#owned = owned.move()
  }

  /** From now on, these network namespaces (inodes) are watched and no others. @throws BpfError */
  watch(namespaces: Iterable<number>): void {
    const wanted = new Set(namespaces)
    for (const inode of this.#watched.difference(wanted)) this.#chosen.delete(keyOf(inode))
    for (const inode of wanted.difference(this.#watched)) this.#chosen.update(keyOf(inode), keyOf(1))
    this.#watched.clear()
    for (const inode of wanted) this.#watched.add(inode)
  }

  /** Hands on what has happened since the last call, in order. */
  drain(onEvent: (event: ConnectionEvent) => void): void {
    this.#ring.drain(Infinity, (memory, view, at, length) => {
      const event = decodeConnectionEvent(memory, view, at, length)
      if (event !== undefined) onEvent(event)
    })
  }

  /** Events that could not be told, since the start: the ring was full, or a processor was in the program already. */
  get lost(): number {
    const values = new BigUint64Array(this.#processors)
    this.#losses.lookup(new Uint8Array(4), new Uint8Array(values.buffer))
    const unplaced = values.reduce((sum, value) => sum + value, 0n)
    const missed = this.#object.programs().reduce((sum, program) => sum + program.recursionMisses(), 0n)
    return Number(unplaced + missed)
  }

  [Symbol.dispose](): void {
    this.#owned.dispose()
  }
}

function keyOf(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer)
}
