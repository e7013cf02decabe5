/** What sidecars do, counted: the metrics of the collector sidecar, and of `podsonar monitor`. */
import type { SidecarSign } from './matcher.ts'

/** Upper bounds in seconds: a sidecar and a connect within a pod are fast. */
export const sidecarBounds: readonly number[] = [
  ...[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
]

export const sidecarMetrics = {
  inside: {
    name: 'podsonar_sidecar_processing_duration_seconds',
    type: 'histogram',
    help: "Time from a caller's connection to the sidecar to the sidecar's own connect to the service.",
  },
  connect: {
    name: 'podsonar_sidecar_connect_duration_seconds',
    type: 'histogram',
    help: "Time from the sidecar's connect to the service until the connection stands.",
  },
  reused: {
    name: 'podsonar_sidecar_reused_connections_total',
    type: 'counter',
    help: 'Connections at the sidecar without a counterpart, because one was kept and used again, by side: caller, service.',
  },
} as const

export interface SidecarDurations {
  /** Observations of each bucket alone: one more than {@link sidecarBounds}. */
  readonly buckets: Float64Array
  sumSeconds: number
}

/** Of one sidecar. */
export class SidecarCounts {
  readonly inside = noDurations()
  readonly connect = noDurations()
  readonly reused = { caller: 0, service: 0 }

  add(sign: SidecarSign): void {
    if ('reused' in sign) {
      this.reused[sign.reused] += 1
      return
    }
    const seconds = sign.ns / 1e9
    const durations = this[sign.what]
    const above = sidecarBounds.findIndex((bound) => seconds <= bound)
    const bucket = above === -1 ? sidecarBounds.length : above
    durations.buckets[bucket] = (durations.buckets[bucket] ?? 0) + 1
    durations.sumSeconds += seconds
  }
}

function noDurations(): SidecarDurations {
  return { buckets: new Float64Array(sidecarBounds.length + 1), sumSeconds: 0 }
}
