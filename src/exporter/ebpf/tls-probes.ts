/** Attaches the programs of requests-tls.h to the functions of TLS libraries: once to each file, whoever runs it. */
import { describeError, errorCode } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import type { BpfProgram } from './bpf-program.ts'
import type { Libbpf } from './libbpf.ts'

/** A file with functions of OpenSSL in it. */
export interface TlsLibrary {
  /** The same for the same file, however it is reached. */
  readonly key: string
  /** Where it can be reached now. */
  readonly path: string
  /** Offsets of functions in it, by name. */
  readonly functions: ReadonlyMap<string, number>
}

/** What is attached to each function: where it returns, and where it is called. */
const probes: Readonly<Record<string, { readonly leave?: string; readonly enter: string }>> = {
  SSL_free: { enter: 'enter_ssl_free' },
  SSL_do_handshake: { leave: 'leave_ssl_write', enter: 'enter_ssl_handshake' },
  SSL_read: { leave: 'leave_ssl_read', enter: 'enter_ssl_read' },
  SSL_read_ex: { leave: 'leave_ssl_read', enter: 'enter_ssl_read_ex' },
  SSL_write: { leave: 'leave_ssl_write', enter: 'enter_ssl_write' },
  SSL_write_ex: { leave: 'leave_ssl_write', enter: 'enter_ssl_write_ex' },
  SSL_sendfile: { leave: 'leave_ssl_write', enter: 'enter_ssl_sendfile' },
}

/** The functions that are looked for in a library. */
export const tlsFunctions: readonly string[] = Object.keys(probes)

/** Those without which nothing is to be seen. */
export const neededTlsFunctions = ['SSL_read', 'SSL_write'] as const

/** Whether a program of requests.bpf.c is attached here. */
export function isTlsProgram(name: string): boolean {
  return name.includes('_ssl_')
}

export interface TlsProbesOptions {
  readonly libbpf: Libbpf
  /** Those of requests.bpf.c. */
  readonly programs: readonly BpfProgram[]
  readonly log: Logger
}

export class TlsProbes implements Disposable {
  readonly #options: TlsProbesOptions
  readonly #attached = new Map<string, DisposableStack>()

  constructor(options: TlsProbesOptions) {
    this.#options = options
  }

  /** How many libraries are followed. */
  get followed(): number {
    return this.#attached.size
  }

  /**
   * From now on, these are followed and no others.
   *
   * @returns a sentence without its full stop on what cannot be followed, or undefined
   */
  follow(libraries: readonly TlsLibrary[]): string | undefined {
    const wanted = new Set(libraries.map(({ key }) => key))
    for (const [key, links] of this.#attached) {
      if (wanted.has(key)) continue
      links.dispose()
      this.#attached.delete(key)
    }
    let problem: string | undefined
    for (const library of libraries) {
      if (this.#attached.has(library.key)) continue
      try {
        this.#attached.set(library.key, this.#attach(library))
      } catch (error) {
        if (errorCode(error) === 'bpf_not_permitted')
          return 'attaching to functions of programs takes CAP_SYS_ADMIN, which this process does not have'
        problem = describeError(error)
      }
    }
    return problem
  }

  [Symbol.dispose](): void {
    this.follow([])
  }

  #attach({ path, functions }: TlsLibrary): DisposableStack {
    using links = new DisposableStack()
    for (const [name, offset] of functions) {
      const probe = probes[name]
      if (probe === undefined) continue
      // Its return first: a call that is seen to begin is seen to end.
      if (probe.leave !== undefined) links.use(this.#link(probe.leave, { path, offset, atReturn: true }))
      links.use(this.#link(probe.enter, { path, offset, atReturn: false }))
    }
    return links.move()
  }

  #link(name: string, place: { path: string; offset: number; atReturn: boolean }): Disposable {
    const { libbpf, programs, log } = this.#options
    const program = programs.find((one) => one.name === name)
    if (program === undefined) throw new Error(`no program ${name}`)
    return program.attachToFunction(libbpf, log, place)
  }
}
