/** Finds the files with which processes of chosen containers speak TLS. */
import { open, stat } from 'node:fs/promises'
import { errorCode } from '../../common/errors.ts'
import type { Logger } from '../../common/logger.ts'
import { elfFunctions } from '../core/requests/elf-functions.ts'
import { tlsCandidates } from '../core/requests/mapped-files.ts'
import { neededTlsFunctions, tlsFunctions, type TlsLibrary } from '../ebpf/tls-probes.ts'
import type { Procfs } from '../procfs.ts'

/** A process is looked at again after this long at first, and twice as long each time: libraries may be loaded late. */
const againMs = 1_500
const againAtMostMs = 60_000

interface Seen {
  readonly startTime: string
  /** Keys of the files that were found, each with where it was reached. */
  readonly files: Map<string, string>
  pauseMs: number
  nextAt: number
}

/**
 * The processes of containers: those that the runtime started, their children, and those that came later by `exec`. A
 * container's id is in the names of its cgroups, whatever the reader's own view of them is.
 */
export function processesOf(procfs: Procfs, containerIds: ReadonlySet<string>): number[] {
  return procfs.pids().filter((pid) => {
    try {
      const ids = procfs.text(pid, 'cgroup').match(/[0-9a-f]{64}/g)
      return ids?.some((id) => containerIds.has(id)) ?? false
    } catch {
      return false // ended meanwhile
    }
  })
}

export interface TlsLibrariesOptions {
  readonly procfs: Procfs
  readonly log: Logger
}

export class TlsLibraries {
  readonly #procfs: Procfs
  readonly #log: Logger
  readonly #seen = new Map<number, Seen>()
  /** By key: what is in a file. Empty: not what is looked for. */
  readonly #functions = new Map<string, ReadonlyMap<string, number>>()

  constructor({ procfs, log }: TlsLibrariesOptions) {
    this.#procfs = procfs
    this.#log = log
  }

  /**
   * The libraries of these processes. Those that ended are left out, and those that may not be looked at.
   *
   * @param pids in the PID namespace of PROC_PATH
   */
  async of(pids: readonly number[]): Promise<TlsLibrary[]> {
    const running = new Set(pids)
    for (const pid of this.#seen.keys()) if (!running.has(pid)) this.#seen.delete(pid)
    const paths = new Map<string, string>()
    for (const pid of running) {
      try {
        for (const [key, path] of await this.#filesOf(pid)) paths.set(key, path)
      } catch (error) {
        this.#seen.delete(pid)
        this.#log.debug({ event: 'tls_library_not_found', pid, reason: errorCode(error) }, 'Not looked at')
      }
    }
    for (const key of this.#functions.keys()) if (!paths.has(key)) this.#functions.delete(key)
    return [...paths].flatMap(([key, path]) => {
      const functions = this.#functions.get(key)
      return functions === undefined || functions.size === 0 ? [] : [{ key, path, functions }]
    })
  }

  async #filesOf(pid: number): Promise<ReadonlyMap<string, string>> {
    const startTime = this.#procfs.startTime(pid)
    let seen = this.#seen.get(pid)
    // A program that replaces itself keeps its id and start time: its files change, and are found when it is looked at again.
    if (seen?.startTime !== startTime)
      seen = { startTime, files: new Map(), pauseMs: againMs, nextAt: -Infinity }
    const now = performance.now()
    if (now < seen.nextAt) return seen.files
    seen.files.clear()
    const candidates = tlsCandidates(this.#procfs.text(pid, 'maps'), this.#procfs.program(pid))
    for (const candidate of candidates) {
      const path = this.#procfs.pathInRoot(pid, candidate)
      const file = await stat(path, { bigint: true })
      if (!file.isFile()) continue
      // Containers of one image have the same file on devices of their own.
      const key = [file.ino, file.size, file.mtimeNs, file.ctimeNs].join(':')
      if (!this.#functions.has(key)) this.#functions.set(key, await functionsIn(path))
      seen.files.set(key, path)
    }
    seen.nextAt = now + seen.pauseMs
    seen.pauseMs = Math.min(againAtMostMs, seen.pauseMs * 2)
    this.#seen.set(pid, seen)
    return seen.files
  }
}

async function functionsIn(path: string): Promise<ReadonlyMap<string, number>> {
  await using file = await open(path, 'r')
  const found = await elfFunctions(async (offset, length) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  }, tlsFunctions)
  return neededTlsFunctions.every((name) => found.has(name)) ? found : new Map()
}
