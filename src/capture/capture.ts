import { fstatSync } from 'node:fs'
import { errorCode } from '../common/errors.ts'
import { PcapFramer } from './core/pcap.ts'
import type { CaptureOptions } from './core/request.ts'
import { cutPcap } from './cut-pcap.ts'
import { OpenNamespace } from './namespace.ts'
import type { CaptureTarget, NodePods } from './node-pods.ts'
import { Tcpdump, type TcpdumpEnd } from './tcpdump.ts'
import { hostVeth } from './veth.ts'

/** Why a capture ended: its limits, its pod, whoever asked for it, or tcpdump. */
export type EndReason = 'seconds' | 'bytes' | 'pod_gone' | 'stopped' | 'client_gone' | 'failed'

/** How much there is so far. */
export interface CaptureProgress {
  readonly packets: number
  readonly bytes: number
  /** Packets that the kernel dropped; undefined before tcpdump told. */
  readonly dropped: number | undefined
}

/** What came of a capture. */
export interface CaptureOutcome extends CaptureProgress {
  readonly reason: EndReason
  /** tcpdump's words, when it ended by itself. */
  readonly failure: string | undefined
  /** Packets that passed the filter. */
  readonly received: number
  readonly dropped: number
  readonly seconds: number
}

/** When it is enough. Undefined: no limit. */
export interface CaptureEnd {
  readonly seconds?: number | undefined
  readonly bytes?: number | undefined
  /** Aborted with the reason: whoever asked stops it. */
  readonly signal: AbortSignal
}

/** Takes whole packets as they come. */
export interface PacketSink {
  /** @returns false: no more until {@link drained} */
  write(pieces: readonly Buffer[]): boolean
  /** Resolves when there is room again, or never will be. */
  drained(): Promise<void>
}

/** How often a capture looks whether its pod is still there, in milliseconds. */
const watchMs = 500
/** How often statistics are asked for, and a file's size is looked at, in milliseconds. */
const statisticsMs = 500

/** A capture that may begin: its namespace is open, its interface found, its filter compiled. */
export class PreparedCapture implements Disposable {
  readonly target: CaptureTarget
  readonly #pods: NodePods
  readonly #namespace: OpenNamespace
  readonly #device: string
  readonly #options: CaptureOptions
  readonly #bufferBytes: number

  private constructor(
    pods: NodePods,
    target: CaptureTarget,
    parts: { namespace: OpenNamespace; device: string; options: CaptureOptions; bufferBytes: number },
  ) {
    this.#pods = pods
    this.target = target
    this.#namespace = parts.namespace
    this.#device = parts.device
    this.#options = parts.options
    this.#bufferBytes = parts.bufferBytes
  }

  /**
   * @param bufferBytes of the kernel, for packets that tcpdump has not taken yet
   * @throws PodsonarError `pod_gone`, `no_veth`, `bad_filter`, `no_permission`, `capture_failed`
   */
  static async open(
    pods: NodePods,
    target: CaptureTarget,
    options: CaptureOptions,
    bufferBytes: number,
  ): Promise<PreparedCapture> {
    using owned = new DisposableStack()
    const { procfs } = pods
    let namespace = owned.use(OpenNamespace.open(procfs, target.pid, target.inode))
    let device: string = options.interface
    if (options.interface === 'veth') {
      const { pid, inode } = pods.host
      const host = owned.use(OpenNamespace.open(procfs, pid, inode))
      device = await hostVeth(namespace, host, 'eth0')
      namespace = host
    }
    await Tcpdump.checkFilter({ ...options, namespace, device, bufferBytes })
    const kept = owned.move()
    const prepared = new PreparedCapture(pods, target, { namespace, device, options, bufferBytes })
    prepared.#close = () => {
      kept.dispose()
    }
    return prepared
  }

  #close: () => void = () => undefined

  /**
   * Captures, and hands packets over as they come, never part of one. Resolves when it is over.
   *
   * @param told that it has begun, and every half second how far it is
   */
  async relay(
    sink: PacketSink,
    end: CaptureEnd,
    told: { readonly onBegun?: () => void; readonly onProgress?: (progress: CaptureProgress) => void } = {},
  ): Promise<CaptureOutcome> {
    const tcpdump = await this.#start()
    told.onBegun?.()
    const framer = new PcapFramer(end.bytes)
    const count = (): { packets: number; bytes: number } => ({ packets: framer.packets, bytes: framer.bytes })
    const running = new Running(tcpdump, this.#pods, this.target, end, count)
    const { onProgress } = told
    using _statistics = every(statisticsMs, () => {
      if (onProgress === undefined) return
      tcpdump.askStatistics()
      onProgress({ ...count(), dropped: tcpdump.statistics?.dropped })
    })
    const { stdout } = tcpdump
    stdout?.on('data', (chunk: Buffer) => {
      try {
        tcpdump.read(chunk.length)
        const pieces = framer.take(chunk)
        // One that ends writes a last bit, which is taken in any case.
        if (pieces.length > 0 && !sink.write(pieces) && !running.ending) {
          stdout.pause()
          void sink.drained().then(() => stdout.resume())
        }
        if (framer.full) running.end('bytes')
      } catch (error) {
        running.fail(String(error))
      }
    })
    return await running.outcome()
  }

  /**
   * Captures into an open file, which tcpdump writes by itself; it is cut at the last packet that fits.
   *
   * @param onProgress told every half second
   */
  async toFile(
    descriptor: number,
    end: CaptureEnd,
    onProgress: (progress: CaptureProgress) => void,
  ): Promise<CaptureOutcome> {
    // A limit counts what is in the file.
    const tcpdump = await this.#start(descriptor, end.bytes !== undefined)
    const size = (): number => fstatSync(descriptor).size
    const count = (): { packets: number; bytes: number } => ({
      packets: tcpdump.statistics?.captured ?? 0,
      bytes: size(),
    })
    const running = new Running(tcpdump, this.#pods, this.target, end, count)
    let outcome
    {
      using _statistics = every(statisticsMs, () => {
        tcpdump.askStatistics()
        onProgress({ ...count(), dropped: tcpdump.statistics?.dropped })
        if (size() > (end.bytes ?? Infinity)) running.end('bytes')
      })
      outcome = await running.outcome()
    }
    return { ...outcome, ...(await cutPcap(descriptor, end.bytes)) }
  }

  #start(output?: number, atOnce = false): Promise<Tcpdump> {
    const { filter, snaplen } = this.#options
    const where = { namespace: this.#namespace, device: this.#device, bufferBytes: this.#bufferBytes }
    return Tcpdump.start({ ...where, filter, snaplen, atOnce }, output)
  }

  /** Closes its handles; a capture that runs has its own. */
  [Symbol.dispose](): void {
    this.#close()
  }
}

/** A tcpdump that runs, and what ends it. */
class Running {
  readonly #tcpdump: Tcpdump
  readonly #startedAt = performance.now()
  readonly #owned = new DisposableStack()
  readonly #count: () => { packets: number; bytes: number }
  #reason: EndReason | undefined
  #failure: string | undefined

  constructor(
    tcpdump: Tcpdump,
    pods: NodePods,
    target: CaptureTarget,
    { seconds, signal }: CaptureEnd,
    count: () => { packets: number; bytes: number },
  ) {
    this.#tcpdump = tcpdump
    this.#count = count
    if (seconds !== undefined) {
      const timer = setTimeout(() => {
        this.end('seconds')
      }, seconds * 1_000)
      this.#owned.defer(() => {
        clearTimeout(timer)
      })
    }
    const onAbort = (): void => {
      this.end(signal.reason === 'client_gone' ? 'client_gone' : 'stopped')
    }
    signal.addEventListener('abort', onAbort, { once: true })
    this.#owned.defer(() => {
      signal.removeEventListener('abort', onAbort)
    })
    if (signal.aborted) onAbort()
    this.#owned.use(
      watchTarget(pods, target, () => {
        this.end('pod_gone')
      }),
    )
  }

  /** It has been told to end. */
  get ending(): boolean {
    return this.#reason !== undefined
  }

  /** Ends it, unless it has been ended already. */
  end(reason: EndReason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#tcpdump.stdout?.resume()
    if (reason === 'client_gone') this.#tcpdump.kill()
    else this.#tcpdump.stop()
  }

  fail(why: string): void {
    this.#failure = why
    this.end('failed')
    this.#tcpdump.kill()
  }

  async outcome(): Promise<CaptureOutcome> {
    const { statistics, failure }: TcpdumpEnd = await this.#tcpdump.ended
    this.#owned.dispose()
    return {
      ...this.#count(),
      reason: this.#reason ?? 'failed',
      failure: this.#failure ?? failure,
      received: statistics.received,
      dropped: statistics.dropped,
      seconds: (performance.now() - this.#startedAt) / 1_000,
    }
  }
}

/** Calls `onGone` once the network namespace of a target has no process any more. */
function watchTarget(pods: NodePods, first: CaptureTarget, onGone: () => void): Disposable {
  let target = first
  let looking = false
  const look = async (): Promise<void> => {
    try {
      if (pods.procfs.startTime(target.pid) === target.startTime) return
    } catch (error) {
      if (errorCode(error) !== 'process_gone') return
    }
    try {
      const found = await pods.again(target)
      if (found === undefined) onGone()
      else target = found
    } catch {
      // The runtime does not answer just now: the next time tells.
    }
  }
  return every(watchMs, () => {
    if (looking) return
    looking = true
    void look().finally(() => {
      looking = false
    })
  })
}

function every(ms: number, work: () => void): Disposable {
  const timer = setInterval(work, ms)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
    },
  }
}
