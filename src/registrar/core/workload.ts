import type { OwnerRecord, PodRecord } from '../../kubernetes/records.ts'

/**
 * The workload that a pod belongs to, told from its controller's reference alone, without reading the controller: a
 * ReplicaSet made by a Deployment is called `<deployment>-<pod-template-hash>`, and a Job made by a CronJob
 * `<cronjob>-<scheduled time in minutes>`. Undefined for a pod that stands alone.
 */
export function workloadOf({ owner, labels }: Pick<PodRecord, 'owner' | 'labels'>): OwnerRecord | undefined {
  if (owner === undefined) return undefined
  if (owner.kind === 'ReplicaSet') {
    const suffix = `-${labels['pod-template-hash'] ?? ''}`
    if (suffix !== '-' && owner.name.endsWith(suffix) && owner.name.length > suffix.length)
      return { kind: 'Deployment', name: owner.name.slice(0, -suffix.length) }
  }
  if (owner.kind === 'Job') {
    // Minutes since 1970: eight digits from 1989 to 2160.
    const scheduled = /^(.+)-\d{8}$/.exec(owner.name)
    if (scheduled?.[1] !== undefined) return { kind: 'CronJob', name: scheduled[1] }
  }
  return owner
}
