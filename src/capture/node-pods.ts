import { errorCode, PodsonarError } from '../common/errors.ts'
import { matchesSelector, type LabelSelector } from '../common/label-selector.ts'
import type { ListedContainer, ListedSandbox, Listing, Pod } from '../exporter/core/containers.ts'
import type { Procfs } from '../exporter/procfs.ts'
import type { FromRuntimes, Runtimes } from '../exporter/runtimes/runtimes.ts'

/** A network namespace to capture in, and a process that shows that it is still there. */
export interface CaptureTarget {
  /** How people know it: `shop/web-0`. */
  readonly label: string
  readonly namespace: string
  /** The pod's name; of what is no pod, the container's or the process id. */
  readonly name: string
  /** Inode of the network namespace. */
  readonly inode: number
  readonly pid: number
  /** See `Procfs.startTime`: another process may get the same id later. */
  readonly startTime: string
}

export interface NodePodsOptions {
  readonly procfs: Procfs
  readonly runtimes: Runtimes
}

/** How long a runtime may take to answer, in milliseconds. */
const runtimeMs = 5_000

/** Pods of this node by name, as something to capture in: pod → sandbox → process → network namespace. */
export class NodePods {
  readonly procfs: Procfs
  readonly #runtimes: Runtimes

  constructor({ procfs, runtimes }: NodePodsOptions) {
    this.procfs = procfs
    this.#runtimes = runtimes
  }

  /**
   * @throws PodsonarError `no_such_pod`: it does not run on this node; `host_network`: it has no network of its own
   * @throws PodsonarError `no_runtime`, `runtime_failed`
   */
  async find(namespace: string, name: string): Promise<CaptureTarget> {
    const [found] = await this.#targets((pod) => pod.namespace === namespace && pod.name === name)
    if (found !== undefined) return found
    throw new PodsonarError(
      'no_such_pod',
      `Cannot capture pod ${namespace}/${name}: it does not run on this node, expected one that does`,
    )
  }

  /**
   * The pods whose labels are selected, those with the node's network left out.
   *
   * @throws PodsonarError `no_such_pod` when there is none; otherwise as {@link find}
   */
  async select(namespace: string, selector: LabelSelector): Promise<CaptureTarget[]> {
    const isSelected = (pod: Pod): boolean =>
      pod.namespace === namespace && matchesSelector(selector, pod.labels)
    const found = await this.#targets(isSelected, true)
    if (found.length > 0) return found
    throw new PodsonarError(
      'no_such_pod',
      `Cannot capture pods of namespace ${namespace}: none that runs on this node has these labels`,
    )
  }

  /**
   * Every network namespace that containers of this node are in, but for the node's own: pods, and plain containers.
   *
   * @param isWanted which containers count; a plain one is in no pod
   */
  async ofContainers(isWanted: (pod: Pod | undefined) => boolean): Promise<CaptureTarget[]> {
    const targets = new Map<number, CaptureTarget>()
    for (const listed of (await this.#list()).containers) {
      const { pod, name } = listed.item
      if (!isWanted(pod)) continue
      const found = this.#target(pod ?? { namespace: '', name }, await pidOf(listed))
      if (found === undefined || found.inode === this.host.inode) continue
      if (!targets.has(found.inode)) targets.set(found.inode, found)
    }
    if (targets.size > 0) return [...targets.values()]
    throw new PodsonarError(
      'no_such_pod',
      'Cannot capture: no such container of this node has a network of its own',
    )
  }

  /** The network namespace of any process. @throws PodsonarError `no_such_process` */
  ofProcess(pid: number): CaptureTarget {
    const found = this.#target({ namespace: '', name: `pid-${pid}` }, pid)
    if (found !== undefined) return found
    throw new PodsonarError('no_such_process', `Cannot capture: there is no process ${pid} on this node`)
  }

  /** The target as it is now, perhaps by another process; undefined when its network namespace is gone. */
  async again(target: CaptureTarget): Promise<CaptureTarget | undefined> {
    if (this.#target(target, target.pid)?.startTime === target.startTime) return target
    const isIt = (pod: Pod): boolean => pod.namespace === target.namespace && pod.name === target.name
    const found = await this.#targets(isIt, true)
    return found.find(({ inode }) => inode === target.inode)
  }

  /** The node's own network namespace, and a process in it. @throws PodsonarError `no_permission` */
  get host(): { readonly inode: number; readonly pid: number } {
    const { procfs } = this
    const found = procfs.hostNetwork()
    if (found !== undefined) return found
    // A node that is a container itself, as in a test: no process 1 to look at, but ours is one of its own.
    if (procfs.root === '/proc') return { inode: procfs.networkNamespace(process.pid), pid: process.pid }
    throw new PodsonarError(
      'no_permission',
      "Cannot see the node's own network namespace: process 1 may not be looked at, expected CAP_SYS_PTRACE",
    )
  }

  /** @param skipHost leaves pods with the node's network out, which otherwise are an error */
  async #targets(isWanted: (pod: Pod) => boolean, skipHost = false): Promise<CaptureTarget[]> {
    const { containers, sandboxes } = await this.#list()
    const targets = new Map<string, CaptureTarget>()
    for (const { runtimes, item } of sandboxes) {
      const { id, pod } = item
      const key = `${pod.namespace}/${pod.name}`
      if (!isWanted(pod) || targets.has(key)) continue
      let pid: number | undefined
      for (const runtime of runtimes) pid ??= await runtime.sandboxPid(id, runtimeMs)
      const found = this.#target(pod, pid) ?? (await this.#byContainer(pod, containers))
      if (found === undefined) continue
      if (found.inode !== this.host.inode) targets.set(key, found)
      else if (!skipHost) throw hostNetwork(pod)
    }
    return [...targets.values()]
  }

  /** By a process of any container of a pod, for runtimes whose sandboxes have none. */
  async #byContainer(
    pod: Pod,
    containers: readonly FromRuntimes<ListedContainer>[],
  ): Promise<CaptureTarget | undefined> {
    for (const listed of containers) {
      if (listed.item.pod?.uid !== pod.uid) continue
      const found = this.#target(pod, await pidOf(listed))
      if (found !== undefined) return found
    }
    return undefined
  }

  async #list(): Promise<Listing<FromRuntimes<ListedContainer>, FromRuntimes<ListedSandbox>>> {
    const listed = await this.#runtimes.list(runtimeMs)
    if (listed !== undefined) return listed
    throw new PodsonarError('no_runtime', 'Cannot list pods: no container runtime of this node answers')
  }

  #target(of: Pick<Pod, 'namespace' | 'name'>, pid: number | undefined): CaptureTarget | undefined {
    if (pid === undefined || pid === 0) return undefined
    const { namespace, name } = of
    try {
      const [startTime, inode] = [this.procfs.startTime(pid), this.procfs.networkNamespace(pid)]
      return {
        label: namespace === '' ? name : `${namespace}/${name}`,
        namespace,
        name,
        inode,
        pid,
        startTime,
      }
    } catch (error) {
      if (errorCode(error) === 'process_gone') return undefined
      throw error
    }
  }
}

async function pidOf({ runtimes, item }: FromRuntimes<ListedContainer>): Promise<number | undefined> {
  for (const runtime of runtimes) {
    const pid = await runtime.pid(item.id, runtimeMs)
    if (pid !== undefined) return pid
  }
  return undefined
}

function hostNetwork({ namespace, name }: Pod): PodsonarError {
  return new PodsonarError(
    'host_network',
    `Cannot capture pod ${namespace}/${name}: it uses the network of its node, where everybody's packets are; ` +
      'expected a pod with a network of its own',
  )
}
