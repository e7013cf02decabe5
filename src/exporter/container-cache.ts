import { mapConcurrent } from '../common/concurrent.ts'
import { errorCode, PodsonarError } from '../common/errors.ts'
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
import type { Procfs } from './procfs.ts'
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
 * runtime lists it and its process is the same (by start time): a steady refresh makes no call per container, and gives
 * the same snapshot.
 */
export class ContainerCache {
  readonly #options: ContainerCacheOptions
  #known = new Map<string, Container>()
  /** Of pods without a running container; undefined: it has no process to be looked at. */
  #sandboxes = new Map<string, Sandbox | undefined>()
  #last: { readonly snapshot: Snapshot; readonly hostNamespace: number | undefined } | undefined

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
    const found = await mapConcurrent(listed.containers, inspections, (one) => this.#find(one))
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

  async #find({ runtimes, item }: FromRuntimes<ListedContainer>): Promise<Container | undefined> {
    try {
      const known = this.#known.get(item.id)
      if (known !== undefined && this.#sameProcess(known)) {
        const { name, image, pod } = item
        const same = known.name === name && known.image === image && known.pod === pod
        return same ? known : { ...known, name, image, pod }
      }
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
    if (known !== undefined && this.#sameProcess(known)) return known
    // One without a process stays so: it is not asked for again.
    if (known === undefined && this.#sandboxes.has(item.id)) return undefined
    let pid: number | undefined
    for (const runtime of runtimes) pid ??= await runtime.sandboxPid(item.id, listWaitMs)
    return pid === undefined ? undefined : { ...item, ...this.#occupant(pid, item.id) }
  }

  #occupant(pid: number, id: string): Occupant {
    const { procfs, cgroupfs } = this.#options
    const startTime = procfs.startTime(pid)
    const cgroups = cgroupfs.resolve(procfs.cgroups(pid), id)
    return { pid, startTime, cgroups, networkNamespace: procfs.networkNamespace(pid) }
  }

  #sameProcess({ pid, startTime }: Occupant): boolean {
    try {
      return this.#options.procfs.startTime(pid) === startTime
    } catch (error) {
      if (errorCode(error) === 'process_gone') return false
      throw error
    }
  }
}
