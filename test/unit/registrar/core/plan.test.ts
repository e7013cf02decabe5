import { describe, expect, it } from 'vitest'
import { Guard, type Evidence } from '../../../../src/registrar/core/guard.ts'
import { PlanBuilder, planSize, type PlanOptions } from '../../../../src/registrar/core/plan.ts'
import { printPlan } from '../../../../src/registrar/core/print-plan.ts'
import { service } from '../../../support/records.ts'

const evidence: Evidence = { doubt: undefined, nodes: 1, listedAt: { pod: 0, node: 0 } }
const builder = (options: Partial<PlanOptions> = {}) =>
  new PlanBuilder({
    clusterName: 'c1',
    policy: 'sync',
    guard: new Guard({ mode: 'hold', maxPercent: 50 }),
    readyDue: () => true,
    ...options,
  })
const a = service('pod--x--a')
const unready = service('pod--x--a', { meta: { ready: 'false' } })

function samplePlan() {
  const plan = builder()
  plan.add(a, undefined)
  plan.add(service('pod--x--b', { port: 1, name: 'k8s-pods' }), service('pod--x--b'))
  plan.add(undefined, service('node--fd00::1', { address: 'fd00::1' }))
  plan.add(service('pod--x--d'), service('pod--x--d', { meta: { cluster_name: 'c2' } }))
  for (let index = 0; index < 11; index += 1) plan.add(undefined, service(`pod--old--${index}`))
  return plan.finish({ pod: 12, node: 1 }, evidence)
}

describe('a plan', () => {
  it('has each service where it belongs', () => {
    const plan = samplePlan()
    expect(plan.register).toEqual([a])
    expect(plan.update.map(({ service: { id }, changed }) => [id, changed])).toEqual([
      ['pod--x--b', ['name', 'port']],
    ])
    expect(plan.deregister.map(({ id }) => id)).toEqual(['node--fd00::1'])
    expect(plan.held.map(({ kind, services }) => [kind, services.length])).toEqual([['pod', 11]])
    expect(plan.conflicts.map(({ owner }) => owner)).toEqual(['c2'])
    expect(planSize(plan)).toBe(3)
  })

  it('defers an update of readiness alone whose turn has not come', () => {
    const plan = builder({ readyDue: () => false })
    plan.add(unready, a)
    plan.add({ ...unready, id: 'pod--x--b', port: 1 }, { ...a, id: 'pod--x--b' })
    const { update, deferred } = plan.finish({ pod: 2, node: 0 }, evidence)
    expect(update.map(({ service: { id } }) => id)).toEqual(['pod--x--b'])
    expect(deferred.map(({ service: { id } }) => id)).toEqual(['pod--x--a'])
  })

  it('is printed for people', () => {
    expect(printPlan(samplePlan(), 'text')).toMatchInlineSnapshot(`
      "1 to register, 1 to update, 1 to deregister.
        + pod--x--a at 10.0.0.1:9090
        ~ pod--x--b at 10.0.0.1:1 as k8s-pods: name, port
        - node--fd00::1 at [fd00::1]:9090
      11 removals of pods are held: 11 of 12 pods would be removed, which is more than 50 %.
        ! pod--old--0 at 10.0.0.1:9090
        ! pod--old--1 at 10.0.0.1:9090
        ! pod--old--10 at 10.0.0.1:9090
        ! pod--old--2 at 10.0.0.1:9090
        ! pod--old--3 at 10.0.0.1:9090
        ! pod--old--4 at 10.0.0.1:9090
        ! pod--old--5 at 10.0.0.1:9090
        ! pod--old--6 at 10.0.0.1:9090
        ! pod--old--7 at 10.0.0.1:9090
        ! pod--old--8 at 10.0.0.1:9090
        ! pod--old--9 at 10.0.0.1:9090
      pod--x--d is left alone: the ID belongs to the cluster "c2".
      "
    `)
    expect(printPlan(builder().finish({ pod: 0, node: 0 }, evidence), 'text')).toBe('Nothing to change.\n')
  })

  it('is printed for programs as one line of JSON', () => {
    const text = printPlan(samplePlan(), 'json')
    expect(text.indexOf('\n')).toBe(text.length - 1)
    expect(JSON.parse(text)).toMatchObject({
      register: [a],
      update: [{ id: 'pod--x--b', port: 1, changed: ['name', 'port'] }],
      deregister: ['node--fd00::1'],
      held: [{ kind: 'pod', reason: '11 of 12 pods would be removed, which is more than 50 %' }],
      deferred: [],
      conflicts: [{ id: 'pod--x--d', owner: 'c2' }],
    })
  })
})
