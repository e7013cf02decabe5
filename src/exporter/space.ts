/** How much space file systems have, without ever waiting for one that hangs. */
import { spawn } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { errorCode } from '../common/errors.ts'

/** Of one file system. */
export interface Space {
  readonly sizeBytes: number
  /** What others than root may still use. */
  readonly availBytes: number
  readonly files: number
  readonly filesFree: number
}

/** The space of a file system that cannot hang. @throws the file system's error */
export function localSpace(path: string): Space {
  const { bsize, blocks, bavail, files, ffree } = statfsSync(path)
  return { sizeBytes: blocks * bsize, availBytes: bavail * bsize, files, filesFree: ffree }
}

/** How long a program may look at a file system, in milliseconds. */
const waitMs = 1_000
/** One that hung is looked at again after this, in milliseconds. */
const retryMs = 30_000

/**
 * Looks at file systems that may hang (NFS, FUSE) with a program of its own each time, coreutils' stat: a hung system
 * call can be ended only together with its process. At most one such process per file system exists.
 */
export class HangableSpace implements Disposable {
  /** When a file system may be looked at again; Infinity while a process still looks. */
  readonly #hung = new Map<string, number>()
  readonly #running = new Set<AbortController>()

  /**
   * @param filesystem what names it among all: two mounts of one file system hang together
   * @returns undefined: it hangs, or cannot be looked at; `reason` says which
   */
  async look(filesystem: string, path: string): Promise<Space | { reason: string }> {
    if ((this.#hung.get(filesystem) ?? 0) > performance.now()) return { reason: 'hung' }
    const kill = new AbortController()
    this.#running.add(kill)
    this.#hung.set(filesystem, Number.POSITIVE_INFINITY)
    const child = spawn('stat', ['-f', '-c', '%S %b %a %c %d', '--', path], {
      ...{ stdio: ['ignore', 'pipe', 'ignore'], signal: kill.signal, killSignal: 'SIGKILL' },
    })
    return new Promise((resolve) => {
      let text = ''
      const timer = setTimeout(() => {
        kill.abort()
        child.unref()
        resolve({ reason: 'hung' })
      }, waitMs)
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      child.on('error', (error) => {
        // ENOENT here is not the mount's, but the program's.
        if (!kill.signal.aborted)
          resolve({ reason: errorCode(error) === 'ENOENT' ? 'no_stat_program' : 'error' })
      })
      child.on('close', (code) => {
        clearTimeout(timer)
        this.#running.delete(kill)
        if (kill.signal.aborted) this.#hung.set(filesystem, performance.now() + retryMs)
        else this.#hung.delete(filesystem)
        resolve(code === 0 ? (parseStat(text) ?? { reason: 'error' }) : { reason: 'unreadable' })
      })
    })
  }

  [Symbol.dispose](): void {
    for (const kill of this.#running) kill.abort()
  }
}

function parseStat(text: string): Space | undefined {
  const match = /^(\d+) (\d+) (\d+) (\d+) (\d+)\n$/.exec(text)
  if (match === null) return undefined
  const [, block, blocks, avail, files, free] = match.map(Number)
  if (block === undefined || blocks === undefined || avail === undefined) return undefined
  return {
    ...{ sizeBytes: blocks * block, availBytes: avail * block, files: files ?? 0, filesFree: free ?? 0 },
  }
}
