/** eBPF objects, their programs, maps and links: what libbpf.ts offers, each with one owner that disposes of it. */
import { constants } from 'node:os'
import { describeError, errorCode, PodsonarError } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import {
  errorName,
  memoryAt,
  printLevel,
  testRunOptionsSize,
  type Libbpf,
  type NativeFunctions,
  type Pointer,
} from './libbpf.ts'

/**
 * Why an eBPF object cannot be used. `code`: `bpf_not_permitted` (a capability is missing), `bpf_no_btf`,
 * `bpf_no_memory`, `bpf_refused` (the verifier or a missing kernel type), `bpf_object_missing`, `bpf_interrupted` (signals),
 * `bpf_failed`.
 */
export class BpfError extends PodsonarError {
  /** The last messages of libbpf, the verifier's among them. */
  readonly messages: readonly string[]

  constructor(code: string, message: string, messages: readonly string[] = []) {
    super(code, message)
    this.messages = messages
  }
}

export interface BpfObjectOptions {
  /** Entries of maps that shall differ from what the object was compiled with. */
  readonly maxEntries?: Readonly<Record<string, number>>
  /** Which programs are loaded. @default all */
  readonly loads?: (program: string) => boolean
  /** Gets libbpf's messages at debug. */
  readonly log: Logger
}

/** How many of libbpf's warnings an error keeps. */
const keptMessages = 40
/** The kernel breaks off the verification when a signal waits for the thread (EAGAIN); libbpf itself tries five times in a row. */
const loadAttempts = 10
/** After the first attempt; longer by as much after each further one. */
const loadPauseMs = 20

/** A loaded object. Disposing of it closes its programs and maps; links are disposed of before. */
export class BpfObject implements Disposable {
  readonly #native: NativeFunctions
  readonly #object: Pointer

  private constructor(native: NativeFunctions, object: Pointer) {
    this.#native = native
    this.#object = object
  }

  /**
   * Opens a compiled object and loads it into the kernel. Blocks its thread for up to a second where a signal keeps
   * interrupting the verifier.
   *
   * @throws BpfError
   */
  static load(libbpf: Libbpf, file: string, options: BpfObjectOptions): BpfObject {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return BpfObject.#load(libbpf, file, options)
      } catch (error) {
        if (errorCode(error) !== 'bpf_interrupted' || attempt === loadAttempts) throw error
        options.log.debug({ event: 'bpf_load_interrupted', attempt, file }, describeError(error))
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, attempt * loadPauseMs)
      }
    }
  }

  static #load(
    libbpf: Libbpf,
    file: string,
    { maxEntries = {}, loads = () => true, log }: BpfObjectOptions,
  ): BpfObject {
    const { native } = libbpf
    const messages: string[] = []
    const print = (level: number, message: string): void => {
      if (level === printLevel.warn) messages.push(message)
      if (messages.length > keptMessages) messages.shift()
      log.debug({ event: 'libbpf', level, file }, message)
    }
    return libbpf.withMessages(print, () => {
      const object = native.bpf_object__open_file(file, null)
      if (!object) throw openError(file, libbpf.lastError(), messages)
      const owner = new BpfObject(native, object)
      try {
        for (const [name, entries] of Object.entries(maxEntries)) owner.#resize(name, entries)
        for (const program of owner.programs()) if (!loads(program.name)) program.leaveOut()
        const result = native.bpf_object__load(object)
        if (result < 0) throw loadError(file, result, messages)
        return owner
      } catch (error) {
        owner[Symbol.dispose]()
        throw error
      }
    })
  }

  /** @throws BpfError when the object has no such program. */
  program(name: string): BpfProgram {
    const program = this.#native.bpf_object__find_program_by_name(this.#object, name)
    if (!program) throw new BpfError('bpf_failed', `Cannot find the eBPF program ${name}`)
    return new BpfProgram(this.#native, name, program)
  }

  /** All programs of the object. */
  programs(): BpfProgram[] {
    const programs: BpfProgram[] = []
    for (let at: Pointer = null; ;) {
      at = this.#native.bpf_object__next_program(this.#object, at)
      if (!at) return programs
      programs.push(new BpfProgram(this.#native, this.#native.bpf_program__name(at), at))
    }
  }

  /** @throws BpfError when the object has no such map. */
  map(name: string): BpfMap {
    return new BpfMap(this.#native, name, this.#find(name))
  }

  [Symbol.dispose](): void {
    this.#native.bpf_object__close(this.#object)
  }

  #resize(name: string, entries: number): void {
    const result = this.#native.bpf_map__set_max_entries(this.#find(name), entries)
    if (result < 0)
      throw new BpfError('bpf_failed', `Cannot give the map ${name} ${entries} entries: ${errorName(result)}`)
  }

  #find(name: string): Pointer {
    const map = this.#native.bpf_object__find_map_by_name(this.#object, name)
    if (!map) throw new BpfError('bpf_failed', `Cannot find the eBPF map ${name}`)
    return map
  }
}

/** A program of a loaded object; lives as long as the object. */
export class BpfProgram {
  readonly name: string
  readonly #native: NativeFunctions
  readonly #program: Pointer

  constructor(native: NativeFunctions, name: string, program: Pointer) {
    this.#native = native
    this.name = name
    this.#program = program
  }

  /**
   * Runs a raw tracepoint program once, on this thread, with these arguments.
   *
   * @returns what the program returned
   * @throws BpfError
   */
  run(args: readonly bigint[]): number {
    const context = new Uint8Array(BigUint64Array.from(args).buffer)
    const options = { sz: testRunOptionsSize, ctx_in: context, ctx_size_in: context.length, retval: 0 }
    const fd = this.#native.bpf_program__fd(this.#program)
    const result = this.#native.bpf_prog_test_run_opts(fd, options)
    if (result < 0) throw new BpfError(codeOf(result), `Cannot run ${this.name}: ${errorName(result)}`)
    return options.retval
  }

  /** It shall not be loaded with its object. */
  leaveOut(): void {
    const result = this.#native.bpf_program__set_autoload(this.#program, false)
    if (result < 0) throw new BpfError('bpf_failed', `Cannot leave out ${this.name}: ${errorName(result)}`)
  }

  /** How often it did not run because its processor was in it already. */
  recursionMisses(): bigint {
    const info = new BigUint64Array(32)
    const length = Uint32Array.of(info.byteLength)
    const fd = this.#native.bpf_program__fd(this.#program)
    const result = this.#native.bpf_obj_get_info_by_fd(fd, new Uint8Array(info.buffer), length)
    if (result < 0) throw new BpfError(codeOf(result), `Cannot ask for ${this.name}: ${errorName(result)}`)
    return info[recursionMissesAt] ?? 0n
  }

  /**
   * Attaches it to the hook that its section names, until the link is disposed of.
   *
   * @throws BpfError
   */
  attach(libbpf: Libbpf, log: Logger): Disposable {
    return this.#link(libbpf, log, (native) => native.bpf_program__attach(this.#program))
  }

  /**
   * Attaches it to the cgroup whose folder is open as `cgroup`, until the link is disposed of.
   *
   * @throws BpfError
   */
  attachToCgroup(libbpf: Libbpf, log: Logger, cgroup: number): Disposable {
    return this.#link(libbpf, log, (native) => native.bpf_program__attach_cgroup(this.#program, cgroup))
  }

  /**
   * Attaches it to a map of sockets, for as long as a process has that open.
   *
   * @param type of enum bpf_attach_type
   * @throws BpfError
   */
  attachToMap(map: BpfMap, type: number): void {
    const result = this.#native.bpf_prog_attach(this.#native.bpf_program__fd(this.#program), map.fd, type, 0)
    if (result < 0)
      throw new BpfError(codeOf(result), `Cannot attach ${this.name} to ${map.name}: ${errorName(result)}`)
  }

  #link(libbpf: Libbpf, log: Logger, attach: (native: NativeFunctions) => Pointer): Disposable {
    const print = (level: number, message: string): void => {
      log.debug({ event: 'libbpf', level }, message)
    }
    const link = libbpf.withMessages(print, () => attach(this.#native))
    if (!link) throw new BpfError('bpf_failed', `Cannot attach ${this.name}: ${libbpf.lastError()}`)
    return this.#linked(link)
  }

  /**
   * Attaches it to a function of a program or library, in all processes that run it, until the link is disposed of.
   *
   * @param place `offset`: of the function, in the file; `atReturn`: when it returns, else when it is called
   * @throws BpfError `bpf_not_permitted` without CAP_SYS_ADMIN
   */
  attachToFunction(
    libbpf: Libbpf,
    log: Logger,
    { path, offset, atReturn }: { path: string; offset: number; atReturn: boolean },
  ): Disposable {
    const print = (level: number, message: string): void => {
      log.debug({ event: 'libbpf', level, path }, message)
    }
    const [link, error] = libbpf.withMessages(print, () => {
      const made = this.#native.bpf_program__attach_uprobe(
        this.#program,
        atReturn,
        everyProcess,
        path,
        offset,
      )
      return [made, made ? '' : libbpf.lastError()]
    })
    if (link) return this.#linked(link)
    const code = error === 'EPERM' || error === 'EACCES' ? 'bpf_not_permitted' : 'bpf_failed'
    throw new BpfError(code, `Cannot attach ${this.name} to ${path}: ${error}`)
  }

  #linked(link: Pointer): Disposable {
    const native = this.#native
    return {
      [Symbol.dispose]() {
        native.bpf_link__destroy(link)
      },
    }
  }
}

/** As the pid of `bpf_program__attach_uprobe`. */
const everyProcess = -1

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
    return new BpfError(codeOf(result), `Cannot ${what} the map ${this.name}: ${errorName(result)}`)
  }
}

/** `recursion_misses` in struct bpf_prog_info of include/uapi/linux/bpf.h, in words of eight bytes; Linux 5.12. */
const recursionMissesAt = 26

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

/** BTF_KIND_TYPEDEF and BTF_KIND_FUNC of include/uapi/linux/btf.h. */
const [btfTypedef, btfFunction] = [8, 12]

/**
 * Whether the running kernel has a function that programs may call.
 *
 * @throws BpfError `bpf_no_btf` when the kernel describes no types at all
 */
export function kernelHasFunction(libbpf: Libbpf, name: string): boolean {
  return kernelHas(libbpf, name, btfFunction)
}

/**
 * Whether the running kernel has a tracepoint that programs may be attached to.
 *
 * @throws BpfError `bpf_no_btf` when the kernel describes no types at all
 */
export function kernelHasTracepoint(libbpf: Libbpf, name: string): boolean {
  return kernelHas(libbpf, `btf_trace_${name}`, btfTypedef)
}

function kernelHas({ native }: Libbpf, name: string, kind: number): boolean {
  const btf = native.btf__load_vmlinux_btf()
  if (!btf)
    throw new BpfError('bpf_no_btf', 'Cannot read the types of this kernel: no /sys/kernel/btf/vmlinux')
  try {
    return native.btf__find_by_name_kind(btf, name, kind) >= 0
  } finally {
    native.btf__free(btf)
  }
}

function openError(file: string, error: string, messages: readonly string[]): BpfError {
  const code = error === 'ENOENT' ? 'bpf_object_missing' : 'bpf_failed'
  return new BpfError(code, `Cannot open the eBPF object ${file}: ${error}`, messages)
}

function loadError(file: string, result: number, messages: readonly string[]): BpfError {
  return new BpfError(codeOf(result), `Cannot load the eBPF object ${file}: ${errorName(result)}`, messages)
}

function codeOf(result: number): string {
  switch (-result) {
    case constants.errno.EPERM:
      return 'bpf_not_permitted'
    case constants.errno.ENOMEM:
    case constants.errno.E2BIG:
      return 'bpf_no_memory'
    case constants.errno.EAGAIN:
      return 'bpf_interrupted'
    case constants.errno.EACCES: // the verifier's "invalid mem access" and the like
    case constants.errno.EINVAL:
    case constants.errno.ENOTSUP:
    case constants.errno.ESRCH:
      return 'bpf_refused'
    default:
      return 'bpf_failed'
  }
}
