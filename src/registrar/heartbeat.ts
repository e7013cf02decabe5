import { describeError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import type { Registry } from './consul/registry.ts'

export interface HeartbeatOptions {
  readonly registry: Registry
  readonly clusterName: string
  readonly clusterId: string
  readonly everyMs: number
  readonly log: Logger
}

/** After this many silent periods a registrar counts as gone. */
const silentPeriods = 3

/**
 * Says in Consul that this registrar is alive, and finds out whether another cluster goes by the same name: its registrar
 * would take our services for leftovers, as we would its own. Who finds another one's heartbeat alive yields.
 */
export class HeartbeatKeeper {
  readonly #options: HeartbeatOptions
  #beaten = false
  #dueAt = Number.NEGATIVE_INFINITY
  /** The other cluster's newest heartbeat, and since when (monotonic) it has been that. */
  #rival: { readonly clusterId: string; readonly lastSyncMs: number; readonly since: number } | undefined
  #complained = false

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  /** When the next beat is due, in monotonic milliseconds. */
  get dueAt(): number {
    return this.#dueAt
  }

  /** Makes one due now: somebody else may have written his. */
  renew(): void {
    this.#dueAt = Number.NEGATIVE_INFINITY
  }

  /** Why nothing may be written: another cluster's registrar is alive under our CLUSTER_NAME. Undefined: none is. */
  get rival(): string | undefined {
    if (this.#rival === undefined) return undefined
    const { clusterName } = this.#options
    return (
      `another cluster (${this.#rival.clusterId}) is registered as ${JSON.stringify(clusterName)}, its registrar last wrote at ` +
      `${new Date(this.#rival.lastSyncMs).toISOString()}: expected a CLUSTER_NAME that no other cluster has`
    )
  }

  /**
   * Looks who was here last, and writes our heartbeat unless it was another cluster that is still alive.
   *
   * @throws ConsulError when the heartbeat cannot be read
   */
  async beat(signal: AbortSignal): Promise<void> {
    const { registry, clusterName, clusterId, everyMs, log } = this.#options
    const found = await registry.readHeartbeat(clusterName, signal)
    const now = performance.now()
    this.#dueAt = now + everyMs
    if (found !== undefined && found.clusterId !== clusterId) {
      const known = this.#rival
      const same = known?.clusterId === found.clusterId && known.lastSyncMs === found.lastSyncMs
      if (!same) this.#rival = { ...found, since: now }
      if (!same || now - known.since < silentPeriods * everyMs) return
    }
    this.#rival = undefined
    this.#beaten = true
    try {
      await registry.beat({ clusterName, clusterId, lastSyncMs: Date.now() }, signal)
      this.#complained = false
    } catch (error) {
      const fields = { event: 'heartbeat_failed', error: describeError(error) }
      if (!this.#complained)
        log.warn(
          fields,
          'Cannot write the heartbeat: the loss of services, or another leader, is noticed late',
        )
      this.#complained = true
    }
  }

  /** Takes our heartbeat away, so that nobody waits for us. Never throws. */
  async leave(signal: AbortSignal): Promise<void> {
    if (!this.#beaten || this.#rival !== undefined) return
    await this.#options.registry.beat(undefined, signal).catch((error: unknown) => {
      this.#options.log.warn(
        { event: 'heartbeat_failed', error: describeError(error) },
        'Cannot take the heartbeat away',
      )
    })
  }
}
