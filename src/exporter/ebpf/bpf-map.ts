import { constants } from 'node:os'
import { BpfError } from './bpf-error.ts'
import { memoryAt, type NativeFunctions, type Pointer } from './libbpf.ts'

/** Some entries of a map. */
export interface MapBatch {
  readonly keys: Uint8Array
  readonly values: Uint8Array
  /** Number of entries. */
  readonly length: number
}

/** A map of a loaded object; lives as long as the object. */
export class BpfMap {
  readonly name: string
  /** Bytes. */
  readonly keySize: number
  /** Bytes of a value; of a per-processor map: of one processor's. */
  readonly valueSize: number
  readonly maxEntries: number
  readonly fd: number
  readonly #native: NativeFunctions
  /** Of {@link batches}, for the next reading: as much garbage at each would weigh more than what stays. */
  #batch = { keys: new Uint8Array(0), values: new Uint8Array(0) }

  constructor(native: NativeFunctions, name: string, map: Pointer) {
    this.#native = native
    this.name = name
    this.keySize = native.bpf_map__key_size(map)
    this.valueSize = native.bpf_map__value_size(map)
    this.maxEntries = native.bpf_map__max_entries(map)
    this.fd = native.bpf_map__fd(map)
  }

  /** Copies the value of `key` into `value`; false when there is none. */
  lookup(key: Uint8Array, value: Uint8Array): boolean {
    const result = this.#native.bpf_map_lookup_elem(this.fd, key, value)
    if (result < 0 && -result !== constants.errno.ENOENT) throw this.#error('read', result)
    return result === 0
  }

  update(key: Uint8Array, value: Uint8Array): void {
    const result = this.#native.bpf_map_update_elem(this.fd, key, value, 0n)
    if (result < 0) throw this.#error('write', result)
  }

  /** False when there was none. */
  delete(key: Uint8Array): boolean {
    const result = this.#native.bpf_map_delete_elem(this.fd, key)
    if (result < 0 && -result !== constants.errno.ENOENT) throw this.#error('delete from', result)
    return result === 0
  }

  /**
   * The entries of a hash map, many by one call. Each part is valid until the next is asked for, by whomever. Entries that
   * come and go meanwhile may be in it or not, none twice unless the map is full of changes.
   *
   * @param entries how many to read at a time; more where one of the map's chains is longer
   * @param bytesPerValue as the kernel copies them: those of all processors, of a per-processor map
   */
  *batches(entries: number, bytesPerValue: number): Generator<MapBatch> {
    const cursor = new Uint8Array(Math.max(this.keySize, 8))
    const length = new Uint32Array(1)
    let start: Uint8Array | null = null
    for (let most = entries, end = false; !end;) {
      const { keys, values } = this.#room(most, bytesPerValue)
      length[0] = most
      const result = this.#native.bpf_map_lookup_batch(this.fd, start, cursor, keys, values, length, null)
      if (-result === constants.errno.ENOSPC && most < this.maxEntries) {
        most = Math.min(this.maxEntries, most * 2)
        continue
      }
      end = -result === constants.errno.ENOENT
      if (result < 0 && !end) throw this.#error('read', result)
      yield { keys, values, length: length[0] }
      start = cursor
    }
  }

  #room(entries: number, bytesPerValue: number): Omit<MapBatch, 'length'> {
    if (this.#batch.values.length < entries * bytesPerValue)
      this.#batch = {
        keys: new Uint8Array(entries * this.keySize),
        values: new Uint8Array(entries * bytesPerValue),
      }
    return this.#batch
  }

  /** Maps the values of an array map into this process. */
  mmap(): MappedMap {
    return this.mapMemory(this.maxEntries * this.valueSize, 0, false)
  }

  /** Maps a part of what the kernel shows of a map into this process. */
  mapMemory(length: number, offset: number, writable: boolean): MappedMap {
    const protection = protRead | (writable ? protWrite : 0)
    const address = this.#native.mmap(null, length, protection, mapShared, this.fd, offset)
    if (address === null || address === mapFailed)
      throw new BpfError('bpf_no_memory', `Cannot map ${length} bytes of ${this.name}`)
    return new MappedMap(this.#native, address, length)
  }

  #error(what: string, result: number): BpfError {
    return BpfError.of(result, `Cannot ${what} the map ${this.name}`)
  }
}

const protRead = 1
const protWrite = 2
const mapShared = 1
const mapFailed = 0xffff_ffff_ffff_ffffn

/** Memory that the kernel and we share. */
export class MappedMap implements Disposable {
  /** Not to be touched after disposal. */
  readonly memory: ArrayBuffer
  readonly #native: NativeFunctions
  readonly #address: Pointer

  constructor(native: NativeFunctions, address: Pointer, length: number) {
    this.#native = native
    this.#address = address
    this.memory = memoryAt(address, length)
  }

  [Symbol.dispose](): void {
    this.#native.munmap(this.#address, this.memory.byteLength)
  }
}
