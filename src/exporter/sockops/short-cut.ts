/** Sees to it that the connections of chosen pods are short-cut, and of no others, for as long as nobody else claims them. */
import { describeError, errorCode, PodsonarError } from '../../common/errors.ts'
import { pause } from '../../common/lifecycle.ts'
import type { Logger } from '../../common/logger.ts'
import type { Cgroupfs } from '../cgroupfs.ts'
import type { Snapshot } from '../core/containers.ts'
import { ciliumInterface, isShortCut } from '../core/sockops/choose.ts'
import { explainEbpfError } from '../ebpf/obstacle.ts'
import type { SockopsContainer, SockopsReading } from '../ebpf/sockops-program.ts'
import { EbpfWorker } from '../ebpf/worker-client.ts'
import type { Procfs } from '../procfs.ts'

export interface ShortCutOptions {
  readonly snapshot: () => Promise<Snapshot>
  readonly cgroupfs: Cgroupfs
  readonly procfs: Procfs
  readonly libbpf: string | undefined
  /** See SockopsOptions, also below. */
  readonly maxConnections: number
  readonly observeSeconds: number
  readonly log: Logger
}

/** How often pods are looked at, in milliseconds; programs that are not told of us for 5 s hand nothing over. */
const followEveryMs = 1_000
/** After how long programs that could not be loaded are tried again, in milliseconds. */
const retryMs = 60_000
/** How long the end waits for what was under way when programs were halted, and then for readers, in milliseconds. */
const [settleMs, drainMs] = [1_000, 3_000]
/** What calls fail with when the programs are gone with their worker. */
const lostPrograms: ReadonlySet<string> = new Set(['ebpf_not_open', 'ebpf_worker_ended'])

/** The programs are loaded when the first chosen pod is there. */
export class ShortCut implements AsyncDisposable {
  readonly #options: ShortCutOptions
  readonly #worker: EbpfWorker
  readonly #stopped = new AbortController()
  readonly #following: Promise<void>
  #isOpen = false
  #failedAt = -Infinity
  #lastProblem: string | undefined

  /** @throws PodsonarError `sockops_refused` beside Cilium */
  constructor(options: ShortCutOptions) {
    refuseBesideCilium(options.procfs)
    this.#options = options
    this.#worker = new EbpfWorker(options.log)
    this.#following = this.#follow()
  }

  /** What was done; undefined while nothing is loaded. */
  async read(signal: AbortSignal): Promise<SockopsReading | undefined> {
    if (!this.#isOpen) return undefined
    return this.#worker.call('readSockops', undefined, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    await this.#following
    await this.#close()
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      try {
        await this.#update(await this.#options.snapshot())
      } catch (error) {
        // A runtime that does not answer changes nothing, but for that programs stop by themselves after a while.
        if (lostPrograms.has(errorCode(error) ?? '')) this.#isOpen = false
        this.#report(errorCode(error) ?? 'sockops_not_followed', describeError(error))
      }
      await pause(followEveryMs, signal)
    }
  }

  async #update({ containers }: Snapshot): Promise<void> {
    const { cgroupfs, procfs } = this.#options
    const wanted = containers.flatMap(({ pod, cgroupId, cgroups }): SockopsContainer[] => {
      const folder = cgroupfs.folderOf(cgroups)
      if (pod === undefined || folder === undefined || cgroupId === 0 || !isShortCut(pod)) return []
      return [{ folder, cgroupIds: [cgroupId, ...cgroupfs.idsBelow(cgroups)] }]
    })
    if (wanted.length > 0 || this.#isOpen) {
      try {
        refuseBesideCilium(procfs)
      } catch (error) {
        await this.#close()
        throw error
      }
    }
    if (wanted.length > 0 && !this.#isOpen) await this.#open()
    if (!this.#isOpen) return
    const taken = await this.#worker.call('watchSockops', { containers: wanted })
    if (taken.length > 0)
      this.#report('sockops_taken', `their cgroups have programs of somebody else: ${taken.join(', ')}`)
    else this.#lastProblem = undefined
  }

  async #open(): Promise<void> {
    if (performance.now() - this.#failedAt < retryMs) return
    const { libbpf, maxConnections, observeSeconds, log } = this.#options
    try {
      await this.#worker.call('openSockops', { libbpf, maxConnections, observeSeconds })
      this.#isOpen = true
      log.info({ event: 'sockops_loaded' }, 'Connections of chosen pods are short-cut')
    } catch (error) {
      this.#failedAt = performance.now()
      this.#report(errorCode(error) ?? 'bpf_failed', await explainEbpfError(error, '6.3'))
    }
  }

  /** Nothing is lost: sockets whose readers do not read keep their queue until they are closed. */
  async #close(): Promise<void> {
    if (this.#isOpen) {
      this.#isOpen = false
      try {
        await this.#worker.call('haltSockops', undefined)
        const deadline = AbortSignal.timeout(drainMs)
        do await pause(settleMs, deadline)
        while ((await this.#worker.call('releaseSockops', undefined)) > 0 && !deadline.aborted)
      } catch (error) {
        this.#report(errorCode(error) ?? 'sockops_not_released', describeError(error))
      }
    }
    await this.#worker[Symbol.asyncDispose]()
  }

  /** Once for each new problem. */
  #report(code: string, reason: string): void {
    if (this.#lastProblem === code) return
    this.#lastProblem = code
    this.#options.log.warn(
      { event: 'sockops_unavailable', reason: code },
      `Connections of chosen pods are not short-cut, or not all, because ${reason}`,
    )
  }
}

function refuseBesideCilium(procfs: Procfs): void {
  const found = ciliumInterface(procfs.interfaces())
  if (found !== undefined)
    throw new PodsonarError(
      'sockops_refused',
      `Cannot short-cut connections beside Cilium, which has the interface ${found} here: expected SOCKOPS=false`,
    )
}
