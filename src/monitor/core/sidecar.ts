/** What the connections of a pod tell of its sidecar, counted for people. */
import type { ConnectionChange } from '../../exporter/core/sidecar/connection-tracker.ts'
import { SidecarMatcher, type SidecarSign } from '../../exporter/core/sidecar/matcher.ts'
import { Quantiles } from './quantiles.ts'

/** See {@link SidecarSign}. */
export class SidecarTimes {
  readonly inside = new Quantiles()
  readonly connect = new Quantiles()
  readonly reused = { caller: 0, service: 0 }
  readonly #matcher = new SidecarMatcher()

  add(change: ConnectionChange): SidecarSign | undefined {
    const sign = this.#matcher.add(change)
    if (sign === undefined) return undefined
    if ('reused' in sign) this.reused[sign.reused] += 1
    else this[sign.what].add(sign.ns)
    return sign
  }
}
