/** Whose is a socket: from its cgroup and network namespace to a container. */
import type { Container, NetworkNamespace, Pod, Snapshot } from './containers.ts'

/** A container, a pod where the container is not known, or the node itself. */
export interface SocketOwner {
  /** Stays the same when a container is restarted. */
  readonly key: string
  /** Undefined: the node itself, or a plain container. */
  readonly pod: Pod | undefined
  /** Name; empty where it is not known, and for the node. */
  readonly container: string
}

const node: SocketOwner = { key: 'node', pod: undefined, container: '' }

/** The owners that a snapshot knows. */
export class SocketOwners {
  readonly #byCgroup = new Map<number, SocketOwner>()
  readonly #byNamespace = new Map<number, SocketOwner>()

  readonly #resolve: (cgroupId: number) => number

  /** @param resolve gives the id of the container's cgroup for one below it, and any other id as it is */
  constructor({ containers, namespaces }: Snapshot, resolve: (cgroupId: number) => number = (id) => id) {
    this.#resolve = resolve
    for (const container of containers)
      if (container.cgroupId !== 0)
        this.#byCgroup.set(container.cgroupId, ownerOf(container.pod, container.name))
    for (const namespace of namespaces) this.#byNamespace.set(namespace.inode, ownerOfNamespace(namespace))
  }

  /** By its cgroup alone. */
  byCgroup(cgroupId: number): SocketOwner | undefined {
    return this.#byCgroup.get(this.#resolve(cgroupId))
  }

  /** By its cgroup, else by its namespace; undefined where both are unknown. */
  of(cgroupId: number, namespace: number): SocketOwner | undefined {
    return this.byCgroup(cgroupId) ?? this.#byNamespace.get(namespace)
  }

  /** Everyone who can own a socket, each once. */
  all(): SocketOwner[] {
    const owners = [...this.#byCgroup.values(), ...this.#byNamespace.values()]
    return [...new Map(owners.map((owner) => [owner.key, owner])).values()]
  }
}

function ownerOf(pod: Pod | undefined, container: string): SocketOwner {
  const key =
    pod === undefined ? `container ${container}` : `pod ${pod.uid} ${pod.namespace}/${pod.name} ${container}`
  return { key, pod, container }
}

function ownerOfNamespace({ host, pod, containers }: NetworkNamespace): SocketOwner {
  if (host) return node
  const [only, ...others]: readonly Container[] = containers
  return ownerOf(pod, others.length === 0 ? (only?.name ?? '') : '')
}
