/**
 * What to do about one service ID.
 *
 * | desired | in Consul               | policy      | decision            |
 * | ------- | ----------------------- | ----------- | ------------------- |
 * | yes     | nothing                 | any         | register            |
 * | yes     | ours, equal             | any         | none                |
 * | yes     | ours, different         | any         | update              |
 * | yes     | another cluster's       | any         | conflict, untouched |
 * | no      | ours                    | sync        | deregister          |
 * | no      | ours                    | upsert-only | none                |
 * | no      | another cluster's       | any         | none                |
 *
 * Ours is what carries our `cluster_name`, whoever registered it: what the seed program left counts.
 */
import type { ServiceRecord } from './service.ts'

export type Policy = 'sync' | 'upsert-only'

export type Decision =
  | { readonly type: 'none' }
  | { readonly type: 'register'; readonly service: ServiceRecord }
  | {
      readonly type: 'update'
      readonly service: ServiceRecord
      /** What differs: `address`, `meta.ready` … */
      readonly changed: readonly string[]
    }
  | { readonly type: 'deregister'; readonly service: ServiceRecord }
  /** `owner` is the `cluster_name` that stands there; empty when it has none. */
  | { readonly type: 'conflict'; readonly service: ServiceRecord; readonly owner: string }

const none: Decision = { type: 'none' }

/** Whether a service of Consul is ours to change. */
export function isOurs(actual: ServiceRecord, clusterName: string): boolean {
  return actual.meta['cluster_name'] === clusterName
}

export function decide(
  desired: ServiceRecord | undefined,
  actual: ServiceRecord | undefined,
  { clusterName, policy }: { readonly clusterName: string; readonly policy: Policy },
): Decision {
  if (desired === undefined) {
    const removable = actual !== undefined && policy === 'sync' && isOurs(actual, clusterName)
    return removable ? { type: 'deregister', service: actual } : none
  }
  if (actual === undefined) return { type: 'register', service: desired }
  if (desired === actual) return none
  if (!isOurs(actual, clusterName)) {
    return { type: 'conflict', service: desired, owner: actual.meta['cluster_name'] ?? '' }
  }
  const changed = differences(desired, actual)
  return changed.length === 0 ? none : { type: 'update', service: desired, changed }
}

/** The fields that differ, by name; empty when the two are equal. Tags count as a set, as Consul may reorder them. */
export function differences(a: ServiceRecord, b: ServiceRecord): string[] {
  const changed: string[] = []
  if (a.name !== b.name) changed.push('name')
  if (a.address !== b.address) changed.push('address')
  if (a.port !== b.port) changed.push('port')
  if (a.tags.length !== b.tags.length || a.tags.some((tag) => !b.tags.includes(tag))) changed.push('tags')
  for (const key in a.meta) if (a.meta[key] !== b.meta[key]) changed.push(`meta.${key}`)
  for (const key in b.meta) if (!(key in a.meta)) changed.push(`meta.${key}`)
  return changed
}

/** Whether nothing but the readiness of its pod or node changed. */
export function isReadyOnly(changed: readonly string[]): boolean {
  return changed.length === 1 && changed[0] === 'meta.ready'
}
