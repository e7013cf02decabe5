import { expect, it } from 'vitest'
import { workloadOf } from '../../../../src/registrar/core/workload.ts'

const of = (kind: string, name: string, labels: Record<string, string> = {}) =>
  workloadOf({ owner: { kind, name }, labels })

it('a ReplicaSet stands for the Deployment that made it, when the pod says so by its hash', () => {
  expect(of('ReplicaSet', 'web-6d94', { 'pod-template-hash': '6d94' })).toEqual({
    kind: 'Deployment',
    name: 'web',
  })
  expect(of('ReplicaSet', 'web-6d94')).toEqual({ kind: 'ReplicaSet', name: 'web-6d94' })
  expect(of('ReplicaSet', 'web', { 'pod-template-hash': '6d94' })).toEqual({
    kind: 'ReplicaSet',
    name: 'web',
  })
})

it('a Job of a schedule stands for its CronJob', () => {
  expect(of('Job', 'backup-28912345')).toEqual({ kind: 'CronJob', name: 'backup' })
  expect(of('Job', 'backup-once')).toEqual({ kind: 'Job', name: 'backup-once' })
})

it('other owners stand for themselves, and a pod alone has none', () => {
  expect(of('StatefulSet', 'db')).toEqual({ kind: 'StatefulSet', name: 'db' })
  expect(workloadOf({ owner: undefined, labels: {} })).toBeUndefined()
})
