import { mapConcurrent } from '../common/concurrent.ts'
import { errorCode, PodsonarError } from '../common/errors.ts'
import type { Cgroupfs } from './cgroupfs.ts'
import { snapshotOf, type Container, type Snapshot } from './core/containers.ts'
import type { Procfs } from './procfs.ts'
import type { RuntimeContainer, Runtimes } from './runtimes/runtimes.ts'

/** How long a scrape waits for a runtime before it goes on with what is known, in milliseconds. */
const listWaitMs = 1_000
/** ContainerStatus calls at a time: 300 take 168 ms so. */
const inspections = 16

export interface ContainerCacheOptions {
  readonly runtimes: Runtimes
  readonly procfs: Procfs
  readonly cgroupfs: Cgroupfs
  /** Told of every container that is left out, with the reason: `process_gone`, `no_permission`, `not_started`, … */
  readonly onSkipped: (reason: string) => void
}

/**
 * The containers of this node with their processes. What was found out about a container is kept as long as the
 * runtime lists it and its process is the same (by start time): a steady refresh makes no call per container.
 */
export class ContainerCache {
  readonly #options: ContainerCacheOptions
  #known = new Map<string, Container>()

  constructor(options: ContainerCacheOptions) {
    this.#options = options
  }

  /** @throws PodsonarError `no_runtime` when no container runtime has ever answered */
  async refresh(): Promise<Snapshot> {
    const listed = await this.#options.runtimes.list(listWaitMs)
    if (listed === undefined)
      throw new PodsonarError(
        'no_runtime',
        'Cannot list containers: no container runtime answers, expected one at RUNTIME_ENDPOINT or a usual socket',
      )
    const found = await mapConcurrent(listed, inspections, (one) => this.#find(one))
    const containers = found.filter((container) => container !== undefined)
    this.#known = new Map(containers.map((container) => [container.id, container]))
    return snapshotOf(containers, this.#host())
  }

  async #find(listed: RuntimeContainer): Promise<Container | undefined> {
    const { container } = listed
    try {
      const known = this.#known.get(container.id)
      if (known !== undefined && this.#sameProcess(known)) return { ...known, ...container }
      return await this.#inspect(listed)
    } catch (error) {
      this.#options.onSkipped(errorCode(error) ?? 'error')
      return undefined
    }
  }

  #sameProcess({ pid, startTime }: Container): boolean {
    try {
      return this.#options.procfs.startTime(pid) === startTime
    } catch (error) {
      if (errorCode(error) === 'process_gone') return false
      throw error
    }
  }

  async #inspect({ runtimes, container }: RuntimeContainer): Promise<Container> {
    let pid: number | undefined
    for (const runtime of runtimes) pid ??= await runtime.pid(container.id, listWaitMs)
    if (pid === undefined || pid === 0)
      throw new PodsonarError(
        pid === 0 ? 'not_started' : 'process_gone',
        `Cannot find the process of container ${container.id}: ${String(pid)}, expected a process id`,
      )
    const { procfs, cgroupfs } = this.#options
    const startTime = procfs.startTime(pid)
    const cgroups = cgroupfs.resolve(procfs.cgroups(pid), container.id)
    const networkNamespace = procfs.networkNamespace(pid)
    return { ...container, pid, startTime, networkNamespace, cgroups, cgroupId: cgroupfs.idOf(cgroups) }
  }

  /**
   * The node's own network namespace: that of process 1, or, where that one may not be looked at, of the kernel's
   * process 2. Undefined when neither can be seen.
   */
  #host(): { inode: number; pid: number } | undefined {
    const { procfs } = this.#options
    for (const pid of [1, 2]) {
      try {
        if (pid === 2 && procfs.text(pid, 'comm') !== 'kthreadd\n') continue
        return { inode: procfs.networkNamespace(pid), pid }
      } catch {
        // the next one
      }
    }
    return undefined
  }
}
