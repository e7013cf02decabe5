/** What happens to connections of several pods, counted for each of their sidecars. */
import type { ConnectionEvent } from '../decode-connection-event.ts'
import { ConnectionTracker } from './connection-tracker.ts'
import { SidecarCounts } from './counts.ts'
import { SidecarMatcher } from './matcher.ts'
import type { ConnectedPod } from './pod.ts'

/** What was counted since the pod is watched. */
export interface CountedSidecar {
  /** Inode of the pod's network namespace. */
  readonly namespace: number
  /** Name of the sidecar's container. */
  readonly container: string
  readonly counts: SidecarCounts
}

interface WatchedSidecar {
  readonly counts: SidecarCounts
  readonly matcher: SidecarMatcher
}

interface WatchedPod {
  pod: ConnectedPod
  /** By the name of their container. */
  readonly sidecars: Map<string, WatchedSidecar>
}

export class SidecarView {
  /** By the inode of their network namespace. */
  readonly #pods = new Map<number, WatchedPod>()
  /** One for all: what it remembers is bounded. */
  readonly #tracker = new ConnectionTracker()

  /** From now on, these pods are watched, as they are now, and no others; the counts of those that no longer are end. */
  watch(pods: readonly ConnectedPod[]): void {
    const wanted = new Set(pods.map(({ networkNamespace }) => networkNamespace))
    for (const inode of this.#pods.keys()) if (!wanted.has(inode)) this.#pods.delete(inode)
    for (const pod of pods) {
      const watched = this.#pods.get(pod.networkNamespace) ?? { pod, sidecars: new Map() }
      watched.pod = pod
      this.#pods.set(pod.networkNamespace, watched)
      for (const { name, isSidecar } of pod.containers)
        if (isSidecar && !watched.sidecars.has(name))
          watched.sidecars.set(name, { counts: new SidecarCounts(), matcher: new SidecarMatcher() })
    }
  }

  add(event: ConnectionEvent): void {
    const watched = this.#pods.get(event.namespace)
    if (watched === undefined) return
    const change = this.#tracker.add(event, watched.pod)
    const sidecar = watched.sidecars.get(change.connection.container)
    const sign = sidecar?.matcher.add(change)
    if (sign !== undefined) sidecar?.counts.add(sign)
  }

  read(): CountedSidecar[] {
    return [...this.#pods].flatMap(([namespace, { sidecars }]) =>
      [...sidecars].map(([container, { counts }]) => ({ namespace, container, counts })),
    )
  }
}
