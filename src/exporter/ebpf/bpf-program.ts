import type { Logger } from '../../common/logger.ts'
import { BpfError } from './bpf-error.ts'
import type { BpfMap } from './bpf-map.ts'
import { errorName, testRunOptionsSize, type Libbpf, type NativeFunctions, type Pointer } from './libbpf.ts'

/** As the pid of `bpf_program__attach_uprobe`. */
const everyProcess = -1

/** `recursion_misses` in struct bpf_prog_info of include/uapi/linux/bpf.h, in words of eight bytes; Linux 5.12. */
const recursionMissesAt = 26

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
    if (result < 0) throw BpfError.of(result, `Cannot run ${this.name}`)
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
    if (result < 0) throw BpfError.of(result, `Cannot ask for ${this.name}`)
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
    if (result < 0) throw BpfError.of(result, `Cannot attach ${this.name} to ${map.name}`)
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
