/**
 * A ring buffer of the kernel, read where it lies: a record costs a twentieth of what libbpf's callback does.
 * Its layout: https://docs.kernel.org/bpf/ringbuf.html and kernel/bpf/ringbuf.c.
 */
import type { BpfMap, MappedMap } from './bpf-map.ts'

/** Pages before the data: the reader's position, which we write, and the writers'. */
const pageSize = 4_096
const headerSize = 8
/** Of a record's first word: it is being written; it was given up; the length of its data. */
const busyBit = 0x8000_0000
const discardedBit = 0x4000_0000
const lengthMask = 0x3fff_ffff

export class RingBuffer implements Disposable {
  /** Bytes that it has room for. */
  readonly size: number
  readonly #consumer: MappedMap
  readonly #producer: MappedMap
  readonly #read: BigUint64Array
  readonly #written: BigUint64Array
  readonly #words: Int32Array
  readonly #memory: Buffer
  readonly #view: DataView
  #position: number

  /** @throws BpfError when it cannot be mapped */
  constructor(map: BpfMap) {
    using owned = new DisposableStack()
    this.size = map.maxEntries
    this.#consumer = owned.use(map.mapMemory(pageSize, 0, true))
    // The data is mapped twice, one behind the other: no record is ever cut.
    this.#producer = owned.use(map.mapMemory(pageSize + 2 * this.size, pageSize, false))
    this.#read = new BigUint64Array(this.#consumer.memory, 0, 1)
    this.#written = new BigUint64Array(this.#producer.memory, 0, 1)
    this.#words = new Int32Array(this.#producer.memory, pageSize)
    this.#memory = Buffer.from(this.#producer.memory, pageSize)
    this.#view = new DataView(this.#producer.memory, pageSize)
    this.#position = Number(Atomics.load(this.#read, 0))
    owned.move()
  }

  /** Bytes of the records that are there, their headers included. */
  get waiting(): number {
    return Number(Atomics.load(this.#written, 0)) - this.#position
  }

  /**
   * Reads what is there, at most `limit` records.
   *
   * @param onRecord gets the ring's memory, where the record's data is in it, and its length; valid during the call only
   * @returns how many records there were
   */
  drain(
    limit: number,
    onRecord: (memory: Buffer, view: DataView, at: number, length: number) => void,
  ): number {
    const written = Number(Atomics.load(this.#written, 0))
    let records = 0
    while (this.#position < written && records < limit) {
      const at = this.#position % this.size
      const header = Atomics.load(this.#words, at >>> 2)
      if ((header & busyBit) !== 0) break
      const length = header & lengthMask
      if ((header & discardedBit) === 0) onRecord(this.#memory, this.#view, at + headerSize, length)
      this.#position += (length + headerSize + 7) & ~7
      records += 1
    }
    if (records > 0) Atomics.store(this.#read, 0, BigInt(this.#position))
    return records
  }

  [Symbol.dispose](): void {
    this.#consumer[Symbol.dispose]()
    this.#producer[Symbol.dispose]()
  }
}
