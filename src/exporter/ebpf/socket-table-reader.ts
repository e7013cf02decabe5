/** Reads every socket of the node with socket-table.bpf.c. Synchronous: for a worker, not for the main thread. */
import {
  decodeSocketPass,
  socketPassSize,
  SocketRows,
  socketRowSize,
  type SocketPass,
} from '../core/decode-socket-rows.ts'
import type { Logger } from '../../common/logger.ts'
import { BpfError } from './bpf-error.ts'
import type { BpfMap } from './bpf-map.ts'
import { BpfObject } from './bpf-object.ts'
import type { BpfProgram } from './bpf-program.ts'
import { kernelHasFunction } from './kernel-types.ts'
import { Libbpf } from './libbpf.ts'
import { bpfObjectFile } from './objects.ts'

export interface SocketTableReaderOptions {
  /** The file of libbpf.so.1. @default as the system finds it */
  readonly libbpf?: string | undefined
  /** The folder of the compiled objects. @default the program's own */
  readonly objects?: string | undefined
  /** Rows that the buffer takes at first. @default 65536 */
  readonly rows?: number | undefined
  /** `cast` needs Linux 6.2. @default the fastest that this kernel has */
  readonly reads?: 'cast' | 'probe' | undefined
  readonly log: Logger
}

/** The buffer's first size in rows: 5.5 MiB, which count in RSS in full however few are used. */
const firstRows = 65_536
/** The buffer's last size in rows: 352 MiB. A node with more sockets is an error, not a table that is cut short. */
const mostRows = 4_194_304

/**
 * What of a socket is read, besides who talks to whom, its state and its cgroup: nothing; what {@link LiveTcpBuilder} takes,
 * which is the round-trip time and the bytes of TCP; or also its user, and for TCP its queues and segments sent again.
 */
export type SocketFields = 'few' | 'live' | 'all'

export interface SocketReadout {
  /** `pass.rows` of them. */
  readonly rows: SocketRows
  readonly pass: SocketPass
}

/** A loaded object with a buffer of a certain size. */
interface Loaded extends Disposable {
  readonly program: BpfProgram
  readonly pass: BpfMap
  readonly rows: SocketRows
  readonly capacity: number
}

export class SocketTableReader implements Disposable {
  readonly #options: SocketTableReaderOptions
  readonly #libbpf: Libbpf
  readonly #file: string
  #loaded: Loaded | undefined

  /**
   * Loads the program into the kernel.
   *
   * @throws LibbpfError, BpfError when that cannot be done
   */
  constructor(options: SocketTableReaderOptions) {
    this.#options = options
    this.#libbpf = Libbpf.load(options.libbpf)
    const cast = kernelHasFunction(this.#libbpf, 'bpf_rdonly_cast') && options.reads !== 'probe'
    this.#file = bpfObjectFile(cast ? 'socket-table' : 'socket-table-probe', options.objects)
    this.#loaded = this.#load(options.rows ?? firstRows)
  }

  /**
   * Reads the table. The buffer grows, and the table is read again, when it was too small.
   *
   * @param fields what of each socket is read. @default all
   * @returns where the pass ended, and its rows, which are valid until the next call
   * @throws BpfError
   */
  read(fields: SocketFields = 'all'): SocketReadout {
    let loaded = (this.#loaded ??= this.#load(this.#options.rows ?? firstRows))
    let pass = run(loaded, fields)
    while (pass.rows > loaded.capacity) {
      loaded = this.#grow(pass.rows)
      pass = run(loaded, fields)
    }
    return { rows: loaded.rows, pass }
  }

  [Symbol.dispose](): void {
    this.#loaded?.[Symbol.dispose]()
    this.#loaded = undefined
  }

  #grow(rows: number): Loaded {
    if (rows > mostRows)
      throw new BpfError('bpf_no_memory', `Cannot read ${rows} sockets: expected at most ${mostRows}`)
    const capacity = Math.min(mostRows, Math.ceil((rows * 1.25) / 4096) * 4096)
    this[Symbol.dispose]()
    this.#loaded = this.#load(capacity)
    return this.#loaded
  }

  #load(capacity: number): Loaded {
    using owned = new DisposableStack()
    const { log } = this.#options
    const object = owned.use(
      BpfObject.load(this.#libbpf, this.#file, { maxEntries: { rows: capacity }, log }),
    )
    const map = object.map('rows')
    const pass = object.map('.bss')
    if (map.valueSize !== socketRowSize || pass.valueSize !== socketPassSize)
      throw new BpfError('bpf_failed', `Cannot use ${this.#file}: it was compiled from other sources`)
    const rows = new SocketRows(owned.use(map.mmap()).memory)
    log.debug(
      { event: 'socket_table_loaded', capacity, file: this.#file },
      'The socket table program is loaded',
    )
    const kept = owned.move()
    return {
      program: object.program('read_sockets'),
      pass,
      rows,
      capacity,
      [Symbol.dispose]() {
        kept.dispose()
      },
    }
  }
}

/** READ_START of socket-table.h. */
const readStart = 1n
/** READ_DETAILS and READ_LIVE of socket-table.h. */
const commands: Readonly<Record<SocketFields, bigint>> = { few: 0n, live: 4n, all: 6n }

/** One pass, slice by slice. */
function run({ program, pass }: Loaded, fields: SocketFields): SocketPass {
  const key = new Uint8Array(4)
  const value = new Uint8Array(socketPassSize)
  const each = commands[fields]
  for (let start = readStart; ; start = 0n) {
    program.run([start | each])
    pass.lookup(key, value)
    const state = decodeSocketPass(value)
    if (state.failed)
      throw new BpfError(
        'bpf_refused',
        "Cannot read the socket table: this kernel's list of namespaces is unknown",
      )
    if (state.done) return state
  }
}
