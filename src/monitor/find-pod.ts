/** The pod that is asked for, on this node: pod → containers → processes, cgroups and network namespace. */
import { PodsonarError } from '../common/errors.ts'
import { matchesSelector } from '../common/label-selector.ts'
import type { Logger } from '../common/logger.ts'
import { Cgroupfs } from '../exporter/cgroupfs.ts'
import { ContainerCache } from '../exporter/container-cache.ts'
import type { NetworkNamespace, Pod } from '../exporter/core/containers.ts'
import { connectedContainer, connectedPod } from '../exporter/connected-pod.ts'
import type { SidecarRules } from '../exporter/core/sidecar/pod.ts'
import { Procfs } from '../exporter/procfs.ts'
import { Runtimes, type RuntimesOptions } from '../exporter/runtimes/runtimes.ts'
import type { MonitorCommand } from './core/arguments.ts'
import type { MonitoredPod } from './core/pod.ts'

export interface PodFinderOptions extends Omit<RuntimesOptions, 'log'> {
  readonly procPath: string
  readonly cgroupPath: string
  readonly sidecars: SidecarRules
  readonly log: Logger
}

/** What identifies the pod that is asked for. */
export type WantedPod = Pick<MonitorCommand, 'namespace' | 'pod'>

export class PodFinder implements Disposable {
  readonly procfs: Procfs
  readonly #runtimes: Runtimes
  readonly #cgroupfs: Cgroupfs
  readonly #containers: ContainerCache
  readonly #sidecars: SidecarRules

  /** @throws SettingsError when PROC_PATH is none */
  constructor({ procPath, cgroupPath, sidecars, ...settings }: PodFinderOptions) {
    this.procfs = Procfs.open(procPath)
    this.#runtimes = new Runtimes(settings)
    this.#cgroupfs = new Cgroupfs(cgroupPath)
    this.#sidecars = sidecars
    const { procfs } = this
    const parts = { procfs, runtimes: this.#runtimes, cgroupfs: this.#cgroupfs }
    this.#containers = new ContainerCache({ ...parts, onSkipped: () => undefined })
  }

  /**
   * @param node what this node is called
   * @throws PodsonarError `no_such_pod`, `several_pods`, `host_network`, `no_containers`, `no_runtime`, and what reading
   *   /proc throws for a process that is gone
   */
  async find(wanted: WantedPod, node: string): Promise<MonitoredPod> {
    const { namespaces } = await this.#containers.refresh()
    const found = namespaces.flatMap((namespace) =>
      namespace.pod !== undefined && isWanted(wanted, namespace.pod)
        ? [{ namespace, pod: namespace.pod }]
        : [],
    )
    const [first, ...others] = found
    if (first === undefined) throw this.#missing(wanted, namespaces)
    if (others.length > 0)
      throw new PodsonarError(
        'several_pods',
        `Cannot choose a pod: ${found
          .map(({ pod }) => pod.name)
          .sort()
          .join(', ')} have these labels, expected one on this node`,
      )
    return this.#describe(first.namespace, first.pod, node)
  }

  [Symbol.dispose](): void {
    this.#containers[Symbol.dispose]()
    this.#runtimes[Symbol.dispose]()
  }

  #describe(namespace: NetworkNamespace, pod: Pod, node: string): MonitoredPod {
    const { pids, containers } = namespace
    const [pid] = pids
    if (pid === undefined || containers.length === 0)
      throw new PodsonarError(
        'no_containers',
        `Cannot look at pod ${pod.namespace}/${pod.name}: none of its containers runs at the moment`,
      )
    const parts = { procfs: this.procfs, cgroupfs: this.#cgroupfs, sidecars: this.#sidecars }
    const { namespace: inNamespace, name, uid } = pod
    return {
      ...connectedPod(namespace, pid, parts),
      ...{ node, namespace: inNamespace, name, uid, pid },
      runtime: this.#runtimes.statuses.map((status) => `${status.name} ${status.version}`).join(', '),
      containers: containers
        .toSorted((one, other) => one.name.localeCompare(other.name))
        .map((container) => ({
          ...connectedContainer(container, parts),
          ...{ image: container.image, pid: container.pid },
        })),
    }
  }

  /** Why there is no such pod, with what there is. */
  #missing({ namespace, pod }: WantedPod, namespaces: readonly NetworkNamespace[]): PodsonarError {
    const text = 'name' in pod ? `${namespace}/${pod.name}` : `${namespace} with ${pod.text}`
    const onHost = namespaces
      .filter(({ host }) => host)
      .flatMap(({ containers }) => containers)
      .some((container) => container.pod !== undefined && isWanted({ namespace, pod }, container.pod))
    if (onHost)
      return new PodsonarError(
        'host_network',
        `Cannot look at pod ${text}: it uses the network of its node, where everybody's packets are; expected a pod with a network of its own`,
      )
    const there = namespaces.flatMap((one) =>
      one.pod === undefined || one.pod.namespace !== namespace ? [] : [one.pod.name],
    )
    const known =
      there.length === 0
        ? 'this node has none in that namespace'
        : `there are ${there.slice(0, 20).join(', ')}`
    return new PodsonarError('no_such_pod', `Cannot find pod ${text} on this node: ${known}`)
  }
}

function isWanted({ namespace, pod: wanted }: WantedPod, pod: Pod): boolean {
  if (pod.namespace !== namespace) return false
  return 'name' in wanted ? pod.name === wanted.name : matchesSelector(wanted.selector, pod.labels)
}
