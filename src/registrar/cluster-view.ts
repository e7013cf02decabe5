import type { Logger } from '../common/logger.ts'
import { TimeSlice } from '../common/time-slice.ts'
import type { NodeRecord, PodRecord } from '../kubernetes/records.ts'
import type { Change, Source } from '../kubernetes/source.ts'
import type { Desired, DesiredContext, DesiredServices } from './core/desired.ts'
import { DesiredSet } from './core/desired-set.ts'
import type { Evidence } from './core/guard.ts'

export interface ClusterViewOptions {
  readonly pods: Source<PodRecord>
  readonly nodes: Source<NodeRecord>
  readonly services: DesiredServices
  /** The shard that a service has in Consul. */
  readonly currentShard: (id: string) => string | undefined
  /** Pods are reached through their node's proxy, so that a change of nodes concerns them. */
  readonly podsFollowNodes: boolean
  readonly log: Logger
  /** Called after something changed. */
  readonly changed: () => void
}

const passing: ReadonlySet<string> = new Set(['no_ip', 'finished', 'no_node'])

/** It is to be a target, and nobody knows yet where. */
function isUnreachable({ skipped }: Desired): boolean {
  return skipped?.reason === 'no_ip' || skipped?.reason === 'no_node'
}

/** The cluster as the services that it should have in Consul, kept equal to the two sources. */
export class ClusterView implements Disposable {
  readonly desired = new DesiredSet()
  readonly #options: ClusterViewOptions
  readonly #subscriptions = new DisposableStack()
  /** IDs to look at again, and since when (monotonic milliseconds). */
  #dirty = new Map<string, number>()
  readonly #addressless = new Map<string, number>()
  readonly #nodeIps = new Map<string, string>()
  /** Pod UIDs by node name, only where pods follow nodes. */
  readonly #podsOfNode = new Map<string, Set<string>>()
  readonly #listedAt = { pod: 0, node: 0 }
  readonly #lastListedAtMs: { pod: number | undefined; node: number | undefined } = {
    pod: undefined,
    node: undefined,
  }

  readonly #context: DesiredContext = {
    currentShard: (id) => this.#options.currentShard(id) ?? this.desired.get(id)?.meta['shard_path'],
    nodeIp: (name) => this.#nodeIps.get(name),
  }

  private constructor(options: ClusterViewOptions) {
    this.#options = options
  }

  /** Takes in what the sources hold by now, in portions, and follows them from then on. */
  static async create(options: ClusterViewOptions, signal: AbortSignal): Promise<ClusterView> {
    const view = new ClusterView(options)
    const { pods, nodes } = options
    view.#noteLists()
    view.#subscriptions.use(
      nodes.subscribe((changes) => {
        view.#follow(changes, (change) => {
          view.#nodeChanged(change)
        })
      }),
    )
    view.#subscriptions.use(
      pods.subscribe((changes) => {
        view.#follow(changes, (change) => {
          view.#podChanged(change)
        })
      }),
    )
    for (const object of [...nodes.objects.values()]) view.#nodeChanged({ type: 'added', object })
    const slice = new TimeSlice()
    for (const uid of [...pods.objects.keys()]) {
      const object = pods.objects.get(uid)
      if (object !== undefined) view.#podChanged({ type: 'added', object })
      if (slice.over) await slice.next()
      if (signal.aborted) break
    }
    return view
  }

  /** Whether both lists were read to their end at least once. */
  get complete(): boolean {
    return this.#options.pods.listedAtMs !== undefined && this.#options.nodes.listedAtMs !== undefined
  }

  /** Since when (monotonic milliseconds) targets that are there have had no address, by UID of pods and name of nodes. */
  get addressless(): ReadonlyMap<string, number> {
    return this.#addressless
  }

  /** What the guard goes by. */
  get evidence(): Evidence {
    const { pods, nodes } = this.#options
    const problems = [pods, nodes].flatMap(({ resource, problem }) =>
      problem === undefined ? [] : [`${resource}: ${problem}`],
    )
    return {
      doubt: problems.length === 0 ? undefined : problems.join('; '),
      nodes: nodes.objects.size,
      listedAt: this.#listedAt,
    }
  }

  get dirty(): ReadonlyMap<string, number> {
    return this.#dirty
  }

  /** Gives the IDs to look at again, with the time since when, and starts over. */
  takeDirty(): Map<string, number> {
    const taken = this.#dirty
    this.#dirty = new Map()
    return taken
  }

  /** Has IDs looked at again; `since` stays what it was for those that wait already. */
  touch(ids: Iterable<string>, since = performance.now()): void {
    for (const id of ids) if (!this.#dirty.has(id)) this.#dirty.set(id, since)
  }

  #follow<T>(changes: readonly Change<T>[], apply: (change: Change<T>) => void): void {
    for (const change of changes) apply(change)
    this.#noteLists()
    this.#options.changed()
  }

  /** The clock of the lists is the monotonic one, whatever the sources' wall clock does. */
  #noteLists(): void {
    for (const [kind, source] of [
      ['pod', this.#options.pods],
      ['node', this.#options.nodes],
    ] as const) {
      if (source.listedAtMs === this.#lastListedAtMs[kind]) continue
      this.#lastListedAtMs[kind] = source.listedAtMs
      this.#listedAt[kind] = performance.now()
    }
  }

  #podChanged(change: Change<PodRecord>): void {
    const { object: pod } = change
    if (this.#options.podsFollowNodes) this.#trackPod(pod, change.type === 'removed')
    if (change.type === 'removed') {
      this.#noteAddress(pod.uid, false)
      this.touch(this.desired.delete(pod.uid))
      return
    }
    const desired = this.#options.services.ofPod(pod, this.#context)
    // One that is being deleted gets no new one.
    this.#noteAddress(pod.uid, isUnreachable(desired) && !pod.terminating)
    this.#set(pod.uid, `${pod.namespace}/${pod.name}`, desired)
  }

  #nodeChanged(change: Change<NodeRecord>): void {
    const { object: node } = change
    if (change.type === 'removed') {
      this.#noteAddress(node.name, false)
      this.touch(this.desired.delete(node.uid))
    } else {
      const desired = this.#options.services.ofNode(node, this.#context)
      this.#noteAddress(node.name, isUnreachable(desired))
      this.#set(node.uid, node.name, desired)
    }
    const ip = change.type === 'removed' ? undefined : node.internalIps[0]
    if (this.#nodeIps.get(node.name) === ip) return
    if (ip === undefined) this.#nodeIps.delete(node.name)
    else this.#nodeIps.set(node.name, ip)
    for (const uid of this.#podsOfNode.get(node.name) ?? []) {
      const pod = this.#options.pods.objects.get(uid)
      if (pod !== undefined) this.#podChanged({ type: 'added', object: pod })
    }
  }

  #noteAddress(key: string, missing: boolean): void {
    if (!missing) this.#addressless.delete(key)
    else if (!this.#addressless.has(key)) this.#addressless.set(key, performance.now())
  }

  #set(uid: string, object: string, desired: Desired): void {
    const { skipped } = desired
    if (skipped !== undefined && this.desired.skippedReason(uid) !== skipped.reason) {
      const fields = { event: 'skipped', object, ...skipped }
      // Every pod starts without an IP, and every job ends.
      if (passing.has(skipped.reason)) this.#options.log.debug(fields, 'Not registered')
      else this.#options.log.warn(fields, 'Not registered')
    }
    this.touch(this.desired.set(uid, object, desired))
  }

  #trackPod({ uid, nodeName }: PodRecord, removed: boolean): void {
    if (nodeName === undefined) return
    const uids = this.#podsOfNode.get(nodeName) ?? new Set()
    if (removed) uids.delete(uid)
    else uids.add(uid)
    if (uids.size === 0) this.#podsOfNode.delete(nodeName)
    else this.#podsOfNode.set(nodeName, uids)
  }

  [Symbol.dispose](): void {
    this.#subscriptions.dispose()
  }
}
