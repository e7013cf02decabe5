import { mapConcurrent } from '../common/concurrent.ts'
import { errorCode, PodsonarError } from '../common/errors.ts'
import { TimeSlice } from '../common/time-slice.ts'
import type { Cgroupfs } from './cgroupfs.ts'
import {
  snapshotOf,
  type Container,
  type ListedContainer,
  type ListedSandbox,
  type Occupant,
  type Sandbox,
  type Snapshot,
} from './core/containers.ts'
import type { HeldProcess, Procfs } from './procfs.ts'
import type { FromRuntimes, Runtimes } from './runtimes/runtimes.ts'

/** How long a scrape waits for a runtime before it goes on with what is known, in milliseconds. */
const listWaitMs = 1_000
/** ContainerStatus calls at a time: 300 take 168 ms so. */
const inspections = 16

export interface ContainerCacheOptions {
  readonly runtimes: Runtimes
  readonly procfs: Procfs
  readonly cgroupfs: Cgroupfs
  /** Told of everything that is left out, with the reason: `process_gone`, `no_permission`, `not_started`, … */
  readonly onSkipped: (kind: 'container' | 'namespace', reason: string) => void
}

/**
 * The containers of this node with their processes. What was found out about a container is kept as long as the
 * runtime lists it and its process, which is held on to, lives: a steady refresh makes no call per container, and gives
 * the same snapshot.
 */
export class ContainerCache implements Disposable {
  readonly #options: ContainerCacheOptions
  #known = new Map<string, Container>()
  /** Of pods without a running container; undefined: it has no process to be looked at. */
  #sandboxes = new Map<string, Sandbox | undefined>()
  /** First processes, by the id of their container or sandbox. */
  readonly #processes = new Map<string, HeldProcess>()
  #refreshing: Promise<Snapshot> | undefined
  #disposed = false
  #last: { readonly snapshot: Snapshot; readonly hostNamespace: number | undefined } | undefined

  constructor(options: ContainerCacheOptions) {
    this.#options = options
  }

  /**
   * What is on the node now. Calls at the same time share one look.
   *
   * @throws PodsonarError `no_runtime` when no container runtime has ever answered
   */
  refresh(): Promise<Snapshot> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
      if (this.#disposed) this.#letGo(new Set())
    })
    return this.#refreshing
  }

  /** Lets go of all processes. */
  [Symbol.dispose](): void {
    this.#disposed = true
    this.#letGo(new Set())
  }

  async #refresh(): Promise<Snapshot> {
    const listed = await this.#options.runtimes.list(listWaitMs)
    if (listed === undefined)
      throw new PodsonarError(
        'no_runtime',
        'Cannot list containers: no container runtime answers, expected one at RUNTIME_ENDPOINT or a usual socket',
      )
    const kept = await this.#kept(listed.containers)
    const found = await mapConcurrent(
      listed.containers,
      inspections,
      async (one) => kept.get(one.item.id) ?? (await this.#find(one)),
    )
    const containers = found.filter((container) => container !== undefined)
    const uids = new Set(containers.map(({ pod }) => pod?.uid))
    const lonely = listed.sandboxes.filter(({ item }) => !uids.has(item.pod.uid))
    const sandboxes = new Map<string, Sandbox | undefined>()
    await mapConcurrent(lonely, inspections, async (one) => {
      try {
        sandboxes.set(one.item.id, await this.#findSandbox(one))
      } catch (error) {
        this.#options.onSkipped('namespace', errorCode(error) ?? 'error')
      }
    })
    this.#letGo(new Set([...containers.map(({ id }) => id), ...sandboxes.keys()]))
    return this.#snapshot(containers, sandboxes)
  }

  #snapshot(containers: readonly Container[], sandboxes: Map<string, Sandbox | undefined>): Snapshot {
    const host = this.#options.procfs.hostNetwork()
    const same =
      this.#last !== undefined &&
      this.#last.hostNamespace === host?.inode &&
      containers.length === this.#known.size &&
      containers.every((container) => this.#known.get(container.id) === container) &&
      sandboxes.size === this.#sandboxes.size &&
      [...sandboxes].every(([id, sandbox]) => this.#sandboxes.get(id) === sandbox)
    if (this.#last !== undefined && same) return this.#last.snapshot
    this.#known = new Map(containers.map((container) => [container.id, container]))
    this.#sandboxes = sandboxes
    const lonely = [...sandboxes.values()].filter((sandbox) => sandbox !== undefined)
    const snapshot = snapshotOf(containers, host, lonely)
    this.#last = { snapshot, hostNamespace: host?.inode }
    return snapshot
  }

  /** Those that are known and whose process lives, by id. */
  async #kept(listed: readonly FromRuntimes<ListedContainer>[]): Promise<Map<string, Container>> {
    const kept = new Map<string, Container>()
    const slice = new TimeSlice()
    for (const { item } of listed) {
      if (slice.over) await slice.next()
      const known = this.#known.get(item.id)
      if (known === undefined || this.#processes.get(item.id)?.lives !== true) continue
      const { id, name, image, pod } = item
      const same = known.name === name && known.image === image && known.pod === pod
      kept.set(id, same ? known : { ...known, name, image, pod })
    }
    return kept
  }

  async #find({ runtimes, item }: FromRuntimes<ListedContainer>): Promise<Container | undefined> {
    try {
      let pid: number | undefined
      for (const runtime of runtimes) pid ??= await runtime.pid(item.id, listWaitMs)
      if (pid === undefined || pid === 0)
        throw new PodsonarError(
          pid === 0 ? 'not_started' : 'process_gone',
          `Cannot find the process of container ${item.id}: ${String(pid)}, expected a process id`,
        )
      const occupant = this.#occupant(pid, item.id)
      return { ...item, ...occupant, cgroupId: this.#options.cgroupfs.idOf(occupant.cgroups) }
    } catch (error) {
      this.#options.onSkipped('container', errorCode(error) ?? 'error')
      return undefined
    }
  }

  async #findSandbox({ runtimes, item }: FromRuntimes<ListedSandbox>): Promise<Sandbox | undefined> {
    const known = this.#sandboxes.get(item.id)
    if (known !== undefined && this.#processes.get(item.id)?.lives === true) return known
    // One without a process stays so: it is not asked for again.
    if (known === undefined && this.#sandboxes.has(item.id)) return undefined
    let pid: number | undefined
    for (const runtime of runtimes) pid ??= await runtime.sandboxPid(item.id, listWaitMs)
    return pid === undefined ? undefined : { ...item, ...this.#occupant(pid, item.id) }
  }

  /** @throws as Procfs.text */
  #occupant(pid: number, id: string): Occupant {
    const { procfs, cgroupfs } = this.#options
    const process = procfs.hold(pid)
    this.#processes.get(id)?.[Symbol.dispose]()
    this.#processes.set(id, process)
    const cgroups = cgroupfs.resolve(procfs.cgroups(pid), id)
    const occupant = { pid, cgroups, networkNamespace: procfs.networkNamespace(pid) }
    if (!process.lives)
      throw new PodsonarError(
        'process_gone',
        `Cannot look at process ${pid} of container ${id}: it ended, expected it to run`,
      )
    return occupant
  }

  /** Lets go of the processes of all others. */
  #letGo(present: ReadonlySet<string>): void {
    for (const [id, process] of this.#processes) {
      if (present.has(id)) continue
      process[Symbol.dispose]()
      this.#processes.delete(id)
    }
  }
}
