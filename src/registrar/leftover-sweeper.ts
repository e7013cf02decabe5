import { describeError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import type { Readiness } from '../common/web/readiness.ts'
import { isRemovable, type Leftovers, type Place } from './consul/leftovers.ts'
import type { BackendKind } from './consul/registry.ts'

export interface SweeperOptions {
  readonly leftovers: Leftovers
  readonly backend: BackendKind
  readonly log: Logger
  readonly readiness: Readiness
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

  constructor(options: SweeperOptions) {
    this.#options = options
  }

  /** Starts a run unless one goes on; resolves when it has ended. Never throws. */
  sweep(signal: AbortSignal): Promise<void> {
    this.#running ??= this.#run(signal).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { leftovers, backend, log } = this.#options
    try {
      const places = await leftovers.find(backend, signal)
      for (const place of places.filter(isRemovable)) {
        await leftovers.clear(place, signal)
        log.info(
          { event: 'leftovers_removed', node: place.node, kind: place.kind, services: place.services.length },
          'Removed what was left on another Consul node',
        )
      }
      this.#report(places.filter((place) => !isRemovable(place)))
    } catch (error) {
      if (signal.aborted) return
      log.warn({ event: 'leftovers_failed', error: describeError(error) }, 'Cannot look after leftovers')
    }
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
