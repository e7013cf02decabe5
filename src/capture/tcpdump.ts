import { spawn, type ChildProcess, type ChildProcessByStdio, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { PodsonarError } from '../common/errors.ts'
import { pause } from '../common/lifecycle.ts'
import type { CaptureOptions } from './core/request.ts'
import { complaint, isListening, lastStatistics, type TcpdumpStatistics } from './core/tcpdump-output.ts'
import type { OpenNamespace } from './namespace.ts'

/** What to capture, and where: all that becomes tcpdump's arguments. */
export interface TcpdumpOptions extends Pick<CaptureOptions, 'filter' | 'snaplen'> {
  /** The namespace that it runs in. */
  readonly namespace: OpenNamespace
  /** `any`, or the name of an interface there. */
  readonly device: string
  /** The kernel's buffer, in bytes. */
  readonly bufferBytes: number
  /** Writes each packet to a file at once, instead of a few together. @default false */
  readonly atOnce?: boolean
}

/** How a tcpdump ended. */
export interface TcpdumpEnd {
  readonly statistics: TcpdumpStatistics
  /** What it complained of when it ended by itself; undefined: it was told to. */
  readonly failure: string | undefined
}

/** How long a filter may take to compile, names to resolve and a capture to begin, in milliseconds. */
const beginMs = 10_000
/** How long tcpdump may take to end when told to, in milliseconds, before it is killed. */
const endMs = 2_000
/** After how long without packets a pipe has room for sure, in milliseconds. */
const idleMs = 100
/** What Node reads of a pipe at most: when less came, it is empty now. In bytes. */
const fullRead = 65_536
/**
 * How much tcpdump collects of a packet before it writes, in bytes: more than the largest, which then takes one call. By itself it
 * would write a block of the pipe, then what is between, then the rest: three times the cost.
 */
const packetBuffer = 524_288
/** How much of its stderr is kept, in characters. */
const keptOutput = 16_384

/**
 * A tcpdump of Debian, run inside a network namespace as our own child: nsenter(1) enters the namespace, setpriv(1) has
 * the kernel end it with us, stdbuf(1) gives it room for a packet. No shell, and the filter is one argument behind `--`, so that it can be no option.
 */
export class Tcpdump {
  readonly #child: ChildProcess
  readonly #ended: Promise<TcpdumpEnd>
  #stderr = ''
  #told = false
  /** Signals that wait for {@link Tcpdump.read} to find its pipe drained. */
  readonly #waiting = new Set<NodeJS.Signals>()
  #readAtMs = performance.now()

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-keptOutput)
    })
    this.#ended = once(child, 'close').then(([code, signal]: unknown[]) => ({
      statistics: lastStatistics(this.#stderr) ?? { captured: 0, received: 0, dropped: 0 },
      failure:
        this.#told || code === 0
          ? undefined
          : complaint(this.#stderr) || `it ended with ${String(code ?? signal)}`,
    }))
  }

  /**
   * Compiles a filter, for the very interface that it is meant for.
   *
   * @throws PodsonarError `bad_filter` with tcpdump's own words
   * @throws PodsonarError `capture_failed` when there is no tcpdump or it may not do this
   */
  static async checkFilter({ namespace, device, filter }: TcpdumpOptions): Promise<void> {
    if (filter === '') return
    const child = spawnInside(namespace, ['-d', '-i', device, '-Z', 'root', '--', filter], 'ignore')
    const [{ code, late }, stderr] = await Promise.all([exitOf(child), errorText(child)])
    if (code === 0) return
    const words = complaint(stderr)
    if (late)
      throw new PodsonarError('bad_filter', `Cannot compile the filter: it took more than ${beginMs} ms`)
    if (/permission|Operation not permitted/i.test(words)) throw failed(words)
    throw new PodsonarError('bad_filter', `Cannot compile the filter: tcpdump says: ${words}`)
  }

  /**
   * Begins to capture.
   *
   * @param output a file descriptor to write the pcap to; undefined: {@link stdout} gives it
   * @throws PodsonarError `capture_failed`
   */
  static async start(options: TcpdumpOptions, output?: number): Promise<Tcpdump> {
    const { namespace, device, snaplen, bufferBytes, filter } = options
    // Each packet at once, where somebody waits for it. (tcpdump's signal for that, SIGUSR2, may meet it inside stdio, which then
    // writes garbage.)
    const atOnce = output === undefined || options.atOnce === true
    const child = spawnInside(
      namespace,
      [
        ...(atOnce ? ['-U'] : []),
        ...['-i', device, '-n', '-p', '-s', String(snaplen), '-B', String(Math.ceil(bufferBytes / 1024))],
        // Its rights are those of this program already, and only what captures runs here: nothing decodes.
        ...['-Z', 'root', '-w', '-', '--', ...(filter === '' ? [] : [filter])],
      ],
      output ?? 'pipe',
      atOnce ? ['stdbuf', `--output=${packetBuffer}`, '--'] : [],
    )
    const tcpdump = new Tcpdump(child)
    await tcpdump.#begun()
    return tcpdump
  }

  /** The pcap, unless it goes to a file. */
  get stdout(): Readable | undefined {
    return this.#child.stdout ?? undefined
  }

  /** Settles when it has ended and all its output has been read. */
  get ended(): Promise<TcpdumpEnd> {
    return this.#ended
  }

  /** The newest statistics that it was asked for. */
  get statistics(): TcpdumpStatistics | undefined {
    return lastStatistics(this.#stderr)
  }

  /** Whoever reads {@link stdout} tells of each piece here. */
  read(bytes: number): void {
    this.#readAtMs = performance.now()
    if (bytes < fullRead) this.#sendWaiting()
  }

  /** Has it tell its statistics, which {@link statistics} then gives. */
  askStatistics(): void {
    this.#signal('SIGUSR1')
  }

  /** Has it write what it holds, and end. Whoever reads {@link stdout} goes on until it ends. */
  stop(): void {
    if (this.#told) return
    this.#told = true
    this.#signal('SIGINT')
    const soft = setTimeout(() => {
      this.#sendWaiting()
    }, endMs / 2)
    const hard = setTimeout(() => {
      this.kill()
    }, endMs)
    void this.#ended.then(() => {
      clearTimeout(soft)
      clearTimeout(hard)
    })
  }

  /**
   * tcpdump takes a signal that meets it in a blocked write for an error of that write, and ends at once without its
   * statistics. A file does not block; a pipe does not just after all of it was read, and when nothing has come for long.
   */
  #signal(name: NodeJS.Signals): void {
    this.#waiting.add(name)
    const { stdout } = this
    const isIdle = stdout?.isPaused() === false && performance.now() - this.#readAtMs > idleMs
    if (stdout === undefined || isIdle) this.#sendWaiting()
  }

  #sendWaiting(): void {
    for (const name of this.#waiting) this.#child.kill(name)
    this.#waiting.clear()
  }

  /** Ends it at once. */
  kill(): void {
    this.#told = true
    this.#child.kill('SIGKILL')
    // What it wrote is of no more use, and would keep `ended` waiting for a reader.
    this.#child.stdout?.destroy()
  }

  async #begun(): Promise<void> {
    const stop = new AbortController()
    const listening = (async () => {
      while (!isListening(this.#stderr) && !stop.signal.aborted) await pause(5, stop.signal)
      return undefined
    })()
    const outcome = await Promise.race([
      listening,
      this.#ended,
      pause(beginMs, stop.signal).then(() => 'late' as const),
      once(this.#child, 'error').then(([error]: unknown[]) => error as Error),
    ]).finally(() => {
      stop.abort()
    })
    if (outcome === undefined) return
    if (outcome === 'late') {
      this.kill()
      throw failed(`it did not begin within ${beginMs} ms`)
    }
    if (outcome instanceof Error) throw failed(notThere(outcome))
    throw failed(outcome.failure ?? 'it ended at once')
  }
}

/** A tcpdump that decodes the pcap on its stdin to lines on its stdout: as the user tcpdump, where root may choose. */
export function startDecoder(): ChildProcessByStdio<Writable, Readable, Readable> {
  const dropsRights = /^tcpdump:/m.test(readFileSync('/etc/passwd', 'utf8'))
  const root = process.getuid?.() === 0 && !dropsRights ? ['-Z', 'root'] : []
  return spawn('tcpdump', ['-n', '-l', '-r', '-', ...root], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
}

function spawnInside(
  namespace: OpenNamespace,
  args: readonly string[],
  output: 'pipe' | 'ignore' | number,
  /** What runs tcpdump. */
  wrapper: readonly string[] = [],
): ChildProcess {
  const stdio: StdioOptions = ['ignore', output, 'pipe', namespace.descriptor]
  return spawn(
    'setpriv',
    ['--pdeathsig', 'INT', '--', 'nsenter', '--net=/proc/self/fd/3', '--', ...wrapper, 'tcpdump', ...args],
    // A group of its own: a Ctrl-C is for us to pass on.
    { stdio, detached: true },
  )
}

async function exitOf(child: ChildProcess): Promise<{ code: number | null; late: boolean }> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, beginMs)
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, late }
  } catch (error) {
    throw failed(notThere(error))
  } finally {
    clearTimeout(timer)
  }
}

async function errorText(child: ChildProcess): Promise<string> {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(-keptOutput)))
  await once(child, 'close').catch(() => undefined)
  return text
}

function notThere(error: unknown): string {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
    ? 'setpriv(1) of util-linux is not installed'
    : String(error)
}

function failed(why: string): PodsonarError {
  return new PodsonarError(
    'capture_failed',
    `Cannot capture: ${why}, expected tcpdump, nsenter, setpriv and stdbuf, and the rights to enter a network namespace`,
  )
}
