import type { Listing } from '../core/containers.ts'

/** The disk space that a container wrote itself. */
export interface WritableLayer {
  readonly bytes: number
  /** Undefined where the runtime does not count them. */
  readonly inodes: number | undefined
}

/** A container runtime of this node. */
export interface ContainerRuntime extends Disposable {
  /** As it calls itself: `containerd`, `cri-o`, `docker`. */
  readonly name: string
  /** Its version as it tells it. */
  readonly version: string
  /** Where it listens: `unix:///run/containerd/containerd.sock`. */
  readonly endpoint: string
  /**
   * Asks for name and version again: a runtime may be upgraded while its socket stays.
   *
   * @throws PodsonarError `runtime_failed`
   */
  identify(timeoutMs: number): Promise<void>
  /**
   * All running containers, and the pods' sandboxes. What is the same as in the last answer is the same object.
   *
   * @throws PodsonarError `runtime_failed` when it does not answer within `timeoutMs`
   */
  list(timeoutMs: number): Promise<Listing>
  /**
   * The id of a container's first process.
   *
   * @returns 0: not started yet; undefined: the runtime does not know the container (any more)
   * @throws PodsonarError `runtime_failed`
   */
  pid(id: string, timeoutMs: number): Promise<number | undefined>
  /**
   * The id of the process that holds a pod's namespaces.
   *
   * @returns undefined: there is none (CRI-O), or the runtime does not say it
   * @throws PodsonarError `runtime_failed`
   */
  sandboxPid(id: string, timeoutMs: number): Promise<number | undefined>
  /**
   * What containers wrote, by container id.
   *
   * @throws PodsonarError `runtime_failed`
   */
  writableLayers(timeoutMs: number): Promise<ReadonlyMap<string, WritableLayer>>
}
