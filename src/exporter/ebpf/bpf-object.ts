/** eBPF objects: what libbpf.ts offers, each with one owner that disposes of it. Their parts: bpf-program.ts, bpf-map.ts. */
import { describeError, errorCode } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import { BpfError } from './bpf-error.ts'
import { BpfMap } from './bpf-map.ts'
import { BpfProgram } from './bpf-program.ts'
import { errorName, printLevel, type Libbpf, type NativeFunctions, type Pointer } from './libbpf.ts'

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
        if (result < 0) throw BpfError.of(result, `Cannot load the eBPF object ${file}`, messages)
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

function openError(file: string, error: string, messages: readonly string[]): BpfError {
  const code = error === 'ENOENT' ? 'bpf_object_missing' : 'bpf_failed'
  return new BpfError(code, `Cannot open the eBPF object ${file}: ${error}`, messages)
}
