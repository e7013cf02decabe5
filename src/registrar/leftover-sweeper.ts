import { describeError, PodsonarError } from '../common/errors.ts'
import { pause } from '../common/lifecycle.ts'
import type { Logger } from '../common/logger.ts'
import type { Readiness } from '../common/web/readiness.ts'
import { isRemovable, type Leftovers, type Place } from './consul/leftovers.ts'
import type { BackendKind } from './consul/registry.ts'

/** How long to wait before each look whether services are in place, in milliseconds; after the last the next run has its turn. */
const looksMs = [0, 200, 400, 800, 1_600, 3_200]

export interface SweeperOptions {
  readonly leftovers: Pick<Leftovers, 'find' | 'clear' | 'abandoned'>
  readonly backend: BackendKind
  readonly log: Logger
  readonly readiness: Readiness
  /** Whether consul_sd finds all services where they belong: they are removed elsewhere only then. */
  readonly isInPlace: (signal: AbortSignal) => Promise<boolean>
  /** How many services of ours are left where they cannot be removed from here. */
  readonly onLeft: (services: number) => void
}

/**
 * Removes what is ours elsewhere in Consul once everything is in place where it belongs, and reports what cannot be removed.
 * One run at a time; a failure is reported and the next run tries again.
 */
export class LeftoverSweeper {
  readonly #options: SweeperOptions
  #running: Promise<void> | undefined
  #abandoned = ''

  constructor(options: SweeperOptions) {
    this.#options = options
  }

  /**
   * Starts a run unless one goes on; resolves when it has ended. Never throws.
   *
   * @param otherClusters names of other clusters whose services were seen
   */
  sweep(otherClusters: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    this.#running ??= this.#run(otherClusters, signal).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(otherClusters: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { leftovers, backend, log } = this.#options
    try {
      const places = await leftovers.find(backend, signal)
      this.#report(places.filter((place) => !isRemovable(place)))
      this.#reportAbandoned(await leftovers.abandoned(otherClusters, signal))
      const removable = places.filter(isRemovable)
      if (removable.length > 0) await this.#untilInPlace(signal)
      for (const place of removable) {
        await leftovers.clear(place, signal)
        log.info(
          { event: 'leftovers_removed', node: place.node, kind: place.kind, services: place.services.length },
          'Removed what was left on another Consul node',
        )
      }
    } catch (error) {
      if (signal.aborted) return
      log.warn({ event: 'leftovers_failed', error: describeError(error) }, 'Cannot look after leftovers')
    }
  }

  async #untilInPlace(signal: AbortSignal): Promise<void> {
    for (const ms of looksMs) {
      await pause(ms, signal)
      signal.throwIfAborted()
      if (await this.#options.isInPlace(signal)) return
    }
    throw new PodsonarError(
      'agent_not_in_sync',
      'The Consul agent has not told its servers of all services yet',
    )
  }

  /** The old set of a cluster that was renamed, for example. */
  #reportAbandoned(clusters: readonly string[]): void {
    const { log, readiness } = this.#options
    const text = clusters.join(', ')
    const advice = `services of clusters without a living registrar are in Consul: ${text}. If one is gone or was renamed: CLUSTER_NAME=<its name> podsonar purge`
    readiness.note('abandoned clusters', text === '' ? undefined : advice)
    if (text !== '' && text !== this.#abandoned)
      log.warn({ event: 'abandoned_clusters', clusters: text }, advice)
    this.#abandoned = text
  }

  #report(places: readonly Place[]): void {
    const { log, readiness, onLeft } = this.#options
    const count = places.reduce((sum, { services }) => sum + services.length, 0)
    const text = places.map(({ node, services }) => `${services.length} on ${node}`).join(', ')
    onLeft(count)
    readiness.note(
      'leftovers',
      count === 0 ? undefined : `services of this cluster elsewhere in Consul: ${text}`,
    )
    if (count > 0) {
      log.warn(
        { event: 'leftovers_found', nodes: text },
        'Services of this cluster are on Consul nodes that are not ours to change: another registrar with this CLUSTER_NAME, or an agent that was left behind',
      )
    }
  }
}
