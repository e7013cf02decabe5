import { closeSync, existsSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, PodsonarError, SettingsError } from '../common/errors.ts'
import { parseCgroups, parseStartTime, type Cgroups } from './core/parse-process.ts'
import { readText } from './read-text.ts'

/** A process that is known by more than its id, which another one gets later. */
export interface HeldProcess extends Disposable {
  /** Whether it runs, or ended and was not yet waited for. */
  readonly lives: boolean
}

/** Files of a process that the kernel makes as one piece (`single_open` in its sources): they cannot come in parts. */
const madeAtOnce: ReadonlySet<string> = new Set(['stat', 'net/sockstat', 'net/sockstat6', 'net/snmp'])

/** How much is read from a large file at once, in bytes. */
const chunkBytes = 1 << 20

/**
 * The sole reader of /proc. Its files are made by the kernel while they are read, so reads are synchronous: none waits
 * for a disk, and a thread's hop would cost more than the read. Long ones belong into a worker.
 */
export class Procfs {
  /** Where the host's /proc is: `/host/proc`. */
  readonly root: string

  private constructor(root: string) {
    this.root = root
  }

  /** @throws SettingsError when `root` is not a /proc */
  static open(root: string): Procfs {
    const procfs = new Procfs(root)
    try {
      if (procfs.#text('stat').startsWith('cpu ') && existsSync(join(root, 'self'))) return procfs
    } catch {
      // said below
    }
    throw new SettingsError([
      `PROC_PATH: expected where the host's /proc is mounted (a folder with "stat" and "self"): value was ${JSON.stringify(root)}`,
    ])
  }

  /** The same /proc in a worker, which was told a root that {@link open} checked. */
  static trusted(root: string): Procfs {
    return new Procfs(root)
  }

  /**
   * A whole file of a process: `text(1, 'net/sockstat')`.
   *
   * @throws PodsonarError `process_gone` or `no_permission`; the file system's error otherwise, such as ENOENT for a file
   *   that this kernel does not have
   */
  text(pid: number, file: string): string {
    return this.#guard(pid, file, () => this.#text(`${pid}/${file}`, madeAtOnce.has(file)))
  }

  /** As {@link text}, or undefined when the process lives and this kernel does not have the file. */
  optionalText(pid: number, file: string): string | undefined {
    return this.#guard(pid, file, () => {
      try {
        return this.#text(`${pid}/${file}`, madeAtOnce.has(file))
      } catch (error) {
        if (errorCode(error) === 'ENOENT' && existsSync(join(this.root, `${pid}/stat`))) return undefined
        throw error
      }
    })
  }

  /**
   * Reads a large file in pieces.
   *
   * @param take gets a buffer and how many of its bytes count, and gives how many it used; the rest comes again with
   *   more behind it. What is left at the end of the file is returned
   * @returns undefined when this kernel does not have the file
   * @throws as {@link text}, and what `take` throws
   */
  stream(
    pid: number,
    file: string,
    buffer: Uint8Array,
    take: (bytes: Uint8Array, length: number) => number,
  ): Uint8Array | undefined {
    return this.#guard(pid, file, () => {
      let descriptor
      try {
        descriptor = openSync(`${this.root}/${pid}/${file}`, 'r')
      } catch (error) {
        if (errorCode(error) === 'ENOENT' && existsSync(join(this.root, `${pid}/net/dev`))) return undefined
        throw error
      }
      try {
        let length = 0
        for (;;) {
          const read = readSync(descriptor, buffer, length, buffer.length - length, null)
          length += read
          // The kernel hands out a page or so at a time: parsing waits until the buffer is full.
          if (read > 0 && length < buffer.length) continue
          const used = take(buffer, length)
          if (used === 0 && read > 0)
            throw new PodsonarError('malformed_proc_file', `Cannot read ${file}: a line is longer than 1 MiB`)
          buffer.copyWithin(0, used, length)
          length -= used
          if (read === 0) return buffer.subarray(0, length)
        }
      } finally {
        closeSync(descriptor)
      }
    })
  }

  /** A buffer for {@link stream}, to be used again and again. */
  static streamBuffer(): Uint8Array {
    return new Uint8Array(chunkBytes)
  }

  /** See `parseStartTime`. @throws as {@link text} */
  startTime(pid: number): string {
    return parseStartTime(this.text(pid, 'stat'))
  }

  /**
   * Holds on to a process by an open file of it, which the kernel answers only as long as this very process is there. A look
   * at it costs a tenth of one at its start time.
   *
   * @throws as {@link text}
   */
  hold(pid: number): HeldProcess {
    const descriptor = this.#guard(pid, 'comm', () => openSync(`${this.root}/${pid}/comm`, 'r'))
    const name = Buffer.alloc(1)
    return {
      get lives() {
        try {
          return readSync(descriptor, name, 0, 1, 0) === 1
        } catch (error) {
          if (errorCode(error) === 'ESRCH') return false
          throw error
        }
      },
      [Symbol.dispose]() {
        closeSync(descriptor)
      },
    }
  }

  /** @throws as {@link text} */
  cgroups(pid: number): Cgroups {
    return parseCgroups(this.text(pid, 'cgroup'))
  }

  /** Inode of the network namespace that a process is in. @throws as {@link text} */
  networkNamespace(pid: number): number {
    const link = this.#guard(pid, 'ns/net', () => readlinkSync(`${this.root}/${pid}/ns/net`))
    const inode = /^net:\[(\d+)\]$/.exec(link)?.[1]
    if (inode === undefined)
      throw new PodsonarError(
        'malformed_proc_file',
        `Cannot read ns/net: ${JSON.stringify(link)}, expected net:[inode]`,
      )
    return Number(inode)
  }

  /**
   * The node's own network namespace: that of process 1, or, where that one may not be looked at, of the kernel's
   * process 2. Undefined when neither can be seen.
   */
  hostNetwork(): { readonly inode: number; readonly pid: number } | undefined {
    for (const pid of [1, 2]) {
      try {
        if (pid === 2 && this.text(pid, 'comm') !== 'kthreadd\n') continue
        return { inode: this.networkNamespace(pid), pid }
      } catch {
        // the next one
      }
    }
    return undefined
  }

  /** The file that stands for the network namespace of a process; whoever has it open keeps the namespace. */
  networkNamespaceFile(pid: number): string {
    return join(this.root, `${pid}/ns/net`)
  }

  /** Ids of all processes. */
  pids(): number[] {
    return readdirSync(this.root)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
  }

  /** Path of the program that a process runs, as it sees it. @throws as {@link text} */
  program(pid: number): string {
    return this.#guard(pid, 'exe', () => readlinkSync(`${this.root}/${pid}/exe`))
  }

  /** How many file descriptors a process has open, and how many of them are sockets. @throws as {@link text} */
  descriptors(pid: number): { descriptors: number; sockets: number } {
    const folder = `${this.root}/${pid}/fd`
    const names = this.#guard(pid, 'fd', () => readdirSync(folder))
    const sockets = names.filter((name) => {
      try {
        return readlinkSync(`${folder}/${name}`).startsWith('socket:')
      } catch {
        return false // closed meanwhile
      }
    })
    return { descriptors: names.length, sockets: sockets.length }
  }

  /** Names of the node's network interfaces, from net/dev of its first process. @throws as {@link text} */
  interfaces(): string[] {
    return this.text(1, 'net/dev')
      .split('\n')
      .flatMap((line) => /^\s*([^\s:|]+):/.exec(line)?.[1] ?? [])
  }

  /** Names of block devices by `major:minor`, from diskstats. */
  blockDevices(): ReadonlyMap<string, string> {
    const lines = this.#text('diskstats').split('\n')
    return new Map(
      lines.flatMap((line) => {
        const [major, minor, name] = line.trim().split(/ +/)
        return name === undefined ? [] : [[`${major ?? ''}:${minor ?? ''}`, name]]
      }),
    )
  }

  /** Where a path of a process' own view of the file system is for us. */
  pathInRoot(pid: number, path: string): string {
    return join(this.root, String(pid), 'root', path)
  }

  #text(path: string, atOnce = false): string {
    return readText(`${this.root}/${path}`, atOnce)
  }

  #guard<T>(pid: number, file: string, read: () => T): T {
    try {
      return read()
    } catch (cause) {
      const code = errorCode(cause)
      // EINVAL: what net/ gives for a process that ended but is not yet reaped.
      if (code === 'ESRCH' || code === 'EINVAL' || (code === 'ENOENT' && !this.#lives(pid)))
        throw new PodsonarError(
          'process_gone',
          `Cannot read ${file} of process ${pid}: it ended, expected it to run`,
          { cause },
        )
      if (code === 'EACCES' || code === 'EPERM')
        throw new PodsonarError(
          'no_permission',
          `Cannot read ${file} of process ${pid}: ${code}, expected CAP_SYS_PTRACE and hostPID`,
          { cause },
        )
      throw cause
    }
  }

  #lives(pid: number): boolean {
    return existsSync(join(this.root, String(pid)))
  }
}
