/**
 * The guard against removing on doubt. It looks at one kind of service at a time and either lets all its removals go or
 * holds them. Times are monotonic milliseconds, so that a stepping clock changes nothing.
 */
import type { ServiceKind } from './service.ts'

export type GuardMode = 'delay' | 'hold'

export interface GuardOptions {
  readonly mode: GuardMode
  /** From 0 to 100: a plan that removes more of one kind is held. */
  readonly maxPercent: number
}

/** What is known of the cluster when a plan is made. */
export interface Evidence {
  /** Why no list can be trusted now (`nodes were never listed`, a source's problem); undefined: both are whole. */
  readonly doubt: string | undefined
  /** How many nodes the API server knows. */
  readonly nodes: number
  /** When the newest whole list of each kind was read. */
  readonly listedAt: Readonly<Record<ServiceKind, number>>
}

export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly reason: string }

/** A plan that removes this few is never held for its share. */
const fewRemovals = 10
/** How far apart two lists must be to confirm each other, in milliseconds. */
const confirmAfterMs = 5 * 60_000

const allowed: Verdict = { allowed: true }

/** Remembers since which list each held service has been absent. */
export class Guard {
  readonly #options: GuardOptions
  readonly #absentSince: Record<ServiceKind, Map<string, number>> = { pod: new Map(), node: new Map() }

  constructor(options: GuardOptions) {
    this.#options = options
  }

  /**
   * Judges the removals of one kind in one plan.
   *
   * @param removals every ID of the kind that the plan would remove, held ones of earlier plans included
   * @param registered how many services of the kind are ours in Consul
   */
  judge(kind: ServiceKind, removals: readonly string[], registered: number, evidence: Evidence): Verdict {
    const absentSince = this.#absentSince[kind]
    if (removals.length === 0) {
      absentSince.clear()
      return allowed
    }
    if (evidence.doubt !== undefined) return { allowed: false, reason: evidence.doubt }
    if (kind === 'node' && evidence.nodes === 0)
      return { allowed: false, reason: 'the list of nodes is empty, which is never believed' }
    const share = (100 * removals.length) / Math.max(registered, removals.length)
    if (removals.length <= fewRemovals || share <= this.#options.maxPercent) {
      absentSince.clear()
      return allowed
    }
    const found = `${removals.length} of ${registered} ${kind}s would be removed, which is more than ${this.#options.maxPercent} %`
    if (this.#options.mode === 'hold') return { allowed: false, reason: found }

    const listedAt = evidence.listedAt[kind]
    const wanted = new Set(removals)
    for (const id of absentSince.keys()) if (!wanted.has(id)) absentSince.delete(id)
    for (const id of removals) if (!absentSince.has(id)) absentSince.set(id, listedAt)
    const confirmed = removals.every((id) => listedAt - (absentSince.get(id) ?? listedAt) >= confirmAfterMs)
    if (confirmed) return allowed
    return { allowed: false, reason: `${found}, until a list read 5 minutes later agrees` }
  }
}
