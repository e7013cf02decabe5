/** What the exporter knows of containers, and how they share network namespaces. */
import type { Cgroups } from './parse-process.ts'

/** A pod, as its sandbox describes it. */
export interface Pod {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** A running container as its runtime lists it. */
export interface ListedContainer {
  readonly id: string
  /** The container's name in its pod; a plain container's own name. */
  readonly name: string
  readonly image: string
  /** Undefined: no Kubernetes container. */
  readonly pod: Pod | undefined
}

/** A running container whose process was looked at. */
export interface Container extends ListedContainer {
  /** Its first process, in the PID namespace of PROC_PATH. */
  readonly pid: number
  /** See `parseStartTime`. */
  readonly startTime: string
  /** Inode of its network namespace. */
  readonly networkNamespace: number
  readonly cgroups: Cgroups
  /** Id of its cgroup v2; 0: unknown. */
  readonly cgroupId: number
}

/** A network namespace with what lives in it. */
export interface NetworkNamespace {
  readonly inode: number
  /** Processes in it; at least one. */
  readonly pids: readonly number[]
  /** The pod that it belongs to, also when a plain container joined it; undefined for the host's and for several pods. */
  readonly pod: Pod | undefined
  /** This is the namespace of the node itself. */
  readonly host: boolean
  readonly containers: readonly Container[]
}

/** What is on the node at one moment. */
export interface Snapshot {
  readonly containers: readonly Container[]
  /** Each namespace once. The host's is the first, when it can be seen. */
  readonly namespaces: readonly NetworkNamespace[]
}

/**
 * Groups containers by network namespace.
 *
 * @param host inode of the node's own namespace and a process in it, which is listed even without containers;
 *   undefined when it cannot be seen
 */
export function snapshotOf(
  containers: readonly Container[],
  host: { readonly inode: number; readonly pid: number } | undefined,
): Snapshot {
  const groups = new Map<number, Container[]>()
  if (host !== undefined) groups.set(host.inode, [])
  for (const container of containers) {
    const group = groups.get(container.networkNamespace)
    if (group === undefined) groups.set(container.networkNamespace, [container])
    else group.push(container)
  }
  const namespaces = [...groups].map(([inode, members]): NetworkNamespace => {
    const isHost = inode === host?.inode
    const pods = members.flatMap(({ pod }) => pod ?? [])
    const isOnePod = pods.every(({ uid }) => uid === pods[0]?.uid)
    return {
      inode,
      pids: [...(isHost ? [host.pid] : []), ...members.map(({ pid }) => pid)],
      pod: isHost || !isOnePod ? undefined : pods[0],
      host: isHost,
      containers: members,
    }
  })
  return { containers, namespaces }
}
