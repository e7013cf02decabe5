/** What the exporter knows of containers, and how they share network namespaces. */
import { cgroupName, type Cgroups } from './parse-process.ts'

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

/** The sandbox of a pod that is up, as its runtime lists it. */
export interface ListedSandbox {
  readonly id: string
  readonly pod: Pod
}

/** What a runtime lists. */
export interface Listing<C = ListedContainer, S = ListedSandbox> {
  /** Those that run. */
  readonly containers: readonly C[]
  /** Those that are ready, with or without containers. */
  readonly sandboxes: readonly S[]
}

/** What was found out about a first process. */
export interface Occupant {
  /** In the PID namespace of PROC_PATH. */
  readonly pid: number
  /** Inode of its network namespace. */
  readonly networkNamespace: number
  readonly cgroups: Cgroups
}

/** A running container whose process was looked at. */
export interface Container extends ListedContainer, Occupant {
  /** Id of its cgroup v2; 0: unknown. */
  readonly cgroupId: number
}

/** The sandbox of a pod of which no container runs: its pause process holds the network namespace. */
export interface Sandbox extends ListedSandbox, Occupant {}

/** A network namespace with what lives in it. */
export interface NetworkNamespace {
  readonly inode: number
  /** Processes in it; at least one. */
  readonly pids: readonly number[]
  /** The pod that it belongs to, also when a plain container joined it; undefined for the host's and for several pods. */
  readonly pod: Pod | undefined
  /** This is the namespace of the node itself. */
  readonly host: boolean
  /** None where a pod has only its sandbox at the moment. */
  readonly containers: readonly Container[]
  /** Path of its pod's cgroup, the parent of its first container's; empty for a namespace where nobody has one. */
  readonly cgroup: string
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
 * @param sandboxes of pods of which no container runs
 */
export function snapshotOf(
  containers: readonly Container[],
  host: { readonly inode: number; readonly pid: number } | undefined,
  sandboxes: readonly Sandbox[] = [],
): Snapshot {
  const groups = new Map<number, { members: Container[]; sandboxes: Sandbox[] }>()
  const groupOf = (inode: number): { members: Container[]; sandboxes: Sandbox[] } => {
    const group = groups.get(inode) ?? { members: [], sandboxes: [] }
    groups.set(inode, group)
    return group
  }
  if (host !== undefined) groupOf(host.inode)
  for (const container of containers) groupOf(container.networkNamespace).members.push(container)
  for (const sandbox of sandboxes) groupOf(sandbox.networkNamespace).sandboxes.push(sandbox)
  const namespaces = [...groups].map(([inode, group]): NetworkNamespace => {
    const isHost = inode === host?.inode
    const occupants: readonly Occupant[] = [...group.members, ...group.sandboxes]
    const pods = [...group.members, ...group.sandboxes].flatMap(({ pod }) => pod ?? [])
    const isOnePod = pods.every(({ uid }) => uid === pods[0]?.uid)
    const [first] = occupants
    return {
      inode,
      pids: [...(isHost ? [host.pid] : []), ...occupants.map(({ pid }) => pid)],
      pod: isHost || !isOnePod ? undefined : pods[0],
      host: isHost,
      containers: group.members,
      cgroup: first === undefined ? '' : parentOf(cgroupName(first.cgroups)),
    }
  })
  return { containers, namespaces }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}
