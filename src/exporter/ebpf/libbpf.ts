/**
 * The only foreign function interface of podsonar: the functions of libbpf (1.0 or later) and of the C library that
 * the eBPF collectors call, with TypeScript types and nothing added. bpf-object.ts makes disposable objects of them.
 *
 * libbpf's names, arguments and return values: https://libbpf.readthedocs.io/en/latest/api.html
 */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import koffi from 'koffi'
import { describeError, PodsonarError } from '../../common/errors.ts'

/** An address; 0 and null stand for NULL. */
export type Pointer = bigint | null

/** What `bpf_prog_test_run_opts` takes and gives; see <bpf/bpf.h>. Fields that are left out are 0. */
interface TestRunOptions {
  sz: number
  ctx_in: Uint8Array
  ctx_size_in: number
  retval?: number
}

/** The native functions, named as in C. Those that return an `int` give a negative errno on failure. */
export interface NativeFunctions {
  libbpf_set_print(callback: Pointer): Pointer
  bpf_object__open_file(path: string, options: null): Pointer
  bpf_object__load(object: Pointer): number
  bpf_object__close(object: Pointer): void
  bpf_object__next_program(object: Pointer, previous: Pointer): Pointer
  bpf_object__find_program_by_name(object: Pointer, name: string): Pointer
  bpf_object__find_map_by_name(object: Pointer, name: string): Pointer
  bpf_program__name(program: Pointer): string
  bpf_program__fd(program: Pointer): number
  bpf_program__attach(program: Pointer): Pointer
  bpf_program__attach_uprobe(
    program: Pointer,
    atReturn: boolean,
    pid: number,
    path: string,
    offset: number,
  ): Pointer
  bpf_program__set_autoload(program: Pointer, load: boolean): number
  bpf_program__attach_cgroup(program: Pointer, cgroup: number): Pointer
  bpf_link__destroy(link: Pointer): number
  bpf_map__fd(map: Pointer): number
  bpf_map__key_size(map: Pointer): number
  bpf_map__value_size(map: Pointer): number
  bpf_map__max_entries(map: Pointer): number
  bpf_map__set_max_entries(map: Pointer, entries: number): number
  bpf_map_lookup_elem(fd: number, key: Uint8Array, value: Uint8Array): number
  bpf_map_update_elem(fd: number, key: Uint8Array, value: Uint8Array, flags: bigint): number
  bpf_map_delete_elem(fd: number, key: Uint8Array): number
  bpf_map_lookup_batch(
    fd: number,
    inBatch: Uint8Array | null,
    outBatch: Uint8Array,
    keys: Uint8Array,
    values: Uint8Array,
    count: Uint32Array,
    options: null,
  ): number
  bpf_obj_get_info_by_fd(fd: number, info: Uint8Array, length: Uint32Array): number
  bpf_prog_attach(fd: number, target: number, type: number, flags: number): number
  bpf_prog_query(
    target: number,
    type: number,
    flags: number,
    attachFlags: null,
    ids: Uint32Array,
    count: Uint32Array,
  ): number
  bpf_prog_get_next_id(id: number, next: Uint32Array): number
  bpf_prog_get_fd_by_id(id: number): number
  bpf_prog_test_run_opts(fd: number, options: TestRunOptions): number
  btf__load_vmlinux_btf(): Pointer
  btf__find_by_name_kind(btf: Pointer, name: string, kind: number): number
  btf__free(btf: Pointer): void
  libbpf_num_possible_cpus(): number
  vsnprintf(buffer: Uint8Array, size: number, format: Pointer, values: Pointer): number
  mmap(address: null, length: number, protection: number, flags: number, fd: number, offset: number): Pointer
  munmap(address: Pointer, length: number): number
  close(fd: number): number
}

/** Severity of libbpf's messages: enum libbpf_print_level. */
export const printLevel = { warn: 0, info: 1, debug: 2 } as const

class LibbpfError extends PodsonarError {}

const testRunOptions = koffi.struct('bpf_test_run_opts', {
  sz: 'size_t',
  data_in: 'void *',
  data_out: 'void *',
  data_size_in: 'uint32',
  data_size_out: 'uint32',
  ctx_in: 'void *',
  ctx_out: 'void *',
  ctx_size_in: 'uint32',
  ctx_size_out: 'uint32',
  retval: 'uint32',
  repeat: 'int',
  duration: 'uint32',
  flags: 'uint32',
  cpu: 'uint32',
  batch_size: 'uint32',
})
export const testRunOptionsSize: number = koffi.sizeof(testRunOptions)

// A va_list travels as one address on x86-64 (an array) and on arm64 (a structure too big for registers).
const printCallback = koffi.proto('int libbpf_print(int level, void *format, void *values)')

const declarations: Record<keyof NativeFunctions, string> = {
  libbpf_set_print: 'void *libbpf_set_print(void *callback)',
  bpf_object__open_file: 'void *bpf_object__open_file(const char *path, void *options)',
  bpf_object__load: 'int bpf_object__load(void *object)',
  bpf_object__close: 'void bpf_object__close(void *object)',
  bpf_object__next_program: 'void *bpf_object__next_program(void *object, void *previous)',
  bpf_object__find_program_by_name: 'void *bpf_object__find_program_by_name(void *object, const char *name)',
  bpf_object__find_map_by_name: 'void *bpf_object__find_map_by_name(void *object, const char *name)',
  bpf_program__name: 'const char *bpf_program__name(void *program)',
  bpf_program__fd: 'int bpf_program__fd(void *program)',
  bpf_program__attach: 'void *bpf_program__attach(void *program)',
  bpf_program__attach_uprobe:
    'void *bpf_program__attach_uprobe(void *program, bool at_return, int pid, const char *path, size_t offset)',
  bpf_program__set_autoload: 'int bpf_program__set_autoload(void *program, bool load)',
  bpf_program__attach_cgroup: 'void *bpf_program__attach_cgroup(void *program, int cgroup)',
  bpf_link__destroy: 'int bpf_link__destroy(void *link)',
  bpf_map__fd: 'int bpf_map__fd(void *map)',
  bpf_map__key_size: 'uint32 bpf_map__key_size(void *map)',
  bpf_map__value_size: 'uint32 bpf_map__value_size(void *map)',
  bpf_map__max_entries: 'uint32 bpf_map__max_entries(void *map)',
  bpf_map__set_max_entries: 'int bpf_map__set_max_entries(void *map, uint32 entries)',
  bpf_map_lookup_elem: 'int bpf_map_lookup_elem(int fd, void *key, void *value)',
  bpf_map_update_elem: 'int bpf_map_update_elem(int fd, void *key, void *value, uint64 flags)',
  bpf_map_delete_elem: 'int bpf_map_delete_elem(int fd, void *key)',
  bpf_map_lookup_batch:
    'int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, void *count, void *options)',
  bpf_obj_get_info_by_fd: 'int bpf_obj_get_info_by_fd(int fd, void *info, void *length)',
  bpf_prog_attach: 'int bpf_prog_attach(int fd, int target, int type, uint32 flags)',
  bpf_prog_query:
    'int bpf_prog_query(int target, int type, uint32 flags, void *attachFlags, void *ids, void *count)',
  bpf_prog_get_next_id: 'int bpf_prog_get_next_id(uint32 id, void *next)',
  bpf_prog_get_fd_by_id: 'int bpf_prog_get_fd_by_id(uint32 id)',
  bpf_prog_test_run_opts: 'int bpf_prog_test_run_opts(int fd, _Inout_ bpf_test_run_opts *options)',
  btf__load_vmlinux_btf: 'void *btf__load_vmlinux_btf()',
  btf__find_by_name_kind: 'int btf__find_by_name_kind(void *btf, const char *name, uint32 kind)',
  btf__free: 'void btf__free(void *btf)',
  libbpf_num_possible_cpus: 'int libbpf_num_possible_cpus()',
  vsnprintf: 'int vsnprintf(void *buffer, size_t size, void *format, void *values)',
  mmap: 'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64 offset)',
  munmap: 'int munmap(void *address, size_t length)',
  close: 'int close(int fd)',
}

const ofTheCLibrary: ReadonlySet<string> = new Set(['vsnprintf', 'mmap', 'munmap', 'close'])

/** By path, so that a process loads each library once however many objects use it. */
const loaded = new Map<string, Libbpf>()

/** libbpf, loaded. It stays loaded for the life of the process, as libraries do. */
export class Libbpf {
  readonly native: NativeFunctions

  private constructor(native: NativeFunctions) {
    this.native = native
  }

  /**
   * Loads libbpf.
   *
   * @param path the file of libbpf.so.1; libelf.so.1 and libz.so.1 beside it are used. Without it: as the system's loader finds it
   * @throws LibbpfError `libbpf_missing` when it is not there, or older than 1.0
   */
  static load(path = 'libbpf.so.1'): Libbpf {
    const known = loaded.get(path)
    if (known !== undefined) return known
    try {
      for (const dependency of dependenciesBeside(path)) koffi.load(dependency, { global: true })
      const libraries = { bpf: koffi.load(path), c: koffi.load('libc.so.6') }
      const functions = Object.entries(declarations).map(([name, declaration]) => [
        name,
        libraries[ofTheCLibrary.has(name) ? 'c' : 'bpf'].func(declaration),
      ])
      const libbpf = new Libbpf(Object.fromEntries(functions) as NativeFunctions)
      loaded.set(path, libbpf)
      return libbpf
    } catch (error) {
      throw new LibbpfError(
        'libbpf_missing',
        `Cannot load libbpf from ${path}: ${describeError(error)}, expected libbpf 1.0 or later`,
        { cause: error },
      )
    }
  }

  /**
   * Calls `action` while libbpf's messages go to `print`. libbpf has one print function for the whole process: only one
   * thread at a time may be in here.
   */
  withMessages<T>(print: (level: number, message: string) => void, action: () => T): T {
    const buffer = Buffer.alloc(1 << 16)
    const callback = koffi.register((level: number, format: Pointer, values: Pointer): number => {
      const length = this.native.vsnprintf(buffer, buffer.length, format, values)
      print(level, buffer.toString('utf8', 0, Math.min(length, buffer.length - 1)).trimEnd())
      return 0
    }, koffi.pointer(printCallback))
    const previous = this.native.libbpf_set_print(callback)
    try {
      return action()
    } finally {
      this.native.libbpf_set_print(previous)
      koffi.unregister(callback)
    }
  }

  /** The errno of the last native call of this thread, in words: `EPERM`. */
  lastError(): string {
    return errorName(koffi.errno())
  }
}

/** `EPERM` for 1 and for -1. */
export function errorName(errno: number): string {
  const positive = Math.abs(errno)
  const found = Object.entries(koffi.os.errno).find(([, value]) => value === positive)
  return found?.[0] ?? `errno ${positive}`
}

let mallocTrim: ((pad: number) => number) | undefined

/**
 * Gives memory that the C library holds and nobody uses back to the system, which takes about a millisecond. What loading
 * programs and compiling JavaScript once needed (30 MiB) would otherwise stay: it lies between what is still in use.
 */
export function returnFreeMemory(): void {
  mallocTrim ??= koffi.load('libc.so.6').func('int malloc_trim(size_t pad)') as (pad: number) => number
  mallocTrim(0)
}

/** The memory at `address` itself, not a copy. Must not be touched once it is unmapped. */
export function memoryAt(address: Pointer, length: number): ArrayBuffer {
  return koffi.view(address, length)
}

function dependenciesBeside(path: string): string[] {
  if (basename(path) === path) return []
  const folders = [dirname(path), dirname(path).replace(/\/usr\/lib\//, '/lib/')]
  return ['libz.so.1', 'libelf.so.1'].flatMap(
    (name) => folders.map((folder) => join(folder, name)).find((file) => existsSync(file)) ?? [],
  )
}
