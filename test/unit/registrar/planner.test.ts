import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ActualSet } from '../../../src/registrar/actual-set.ts'
import { DesiredSet } from '../../../src/registrar/core/desired-set.ts'
import { Guard, type Evidence } from '../../../src/registrar/core/guard.ts'
import type { Plan } from '../../../src/registrar/core/plan.ts'
import { Planner } from '../../../src/registrar/pass.ts'
import { service } from '../../support/records.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const id = 'pod--a--x'
const evidence: Evidence = { doubt: undefined, nodes: 1, listedAt: { pod: 0, node: 0 } }
const read = (ready: string) => service(id, { meta: { ready } })

function planning(complete = true) {
  const planner = new Planner({
    clusterName: 'c1',
    policy: 'sync',
    guard: new Guard({ mode: 'delay', maxPercent: 50 }),
  })
  const desired = new DesiredSet()
  const actual = new ActualSet('c1')
  const view = { desired, complete }
  const want = (...services: ReturnType<typeof service>[]) =>
    desired.set('uid', 'a/x', { services, notes: [], droppedMeta: 0 })
  const plan = (ids: string[] | 'all' = [id]): Promise<Plan> => planner.plan(ids, view, actual, evidence)
  const apply = (plan: Plan) => {
    for (const update of plan.update) {
      planner.written(update)
      actual.set(update.service)
    }
  }
  return { planner, actual, want, plan, apply }
}

it('readiness alone is written at once, then at most every 30 s, always the newest', async () => {
  const { planner, actual, want, plan, apply } = planning()
  actual.set(read('false'))
  want(read('true'))
  apply(await plan())
  expect(actual.get(id)?.meta['ready']).toBe('true')

  vi.advanceTimersByTime(1_000)
  want(read('false'))
  const early = await plan()
  expect([early.update.length, early.deferred.length]).toEqual([0, 1])
  expect(planner.dueDeferred()).toEqual([])
  expect(planner.nextDeferredAt - performance.now()).toBe(29_000)

  vi.advanceTimersByTime(29_000)
  expect(planner.dueDeferred()).toEqual([id])
  apply(await plan(planner.dueDeferred()))
  expect(actual.get(id)?.meta['ready']).toBe('false')
  expect(planner.nextDeferredAt).toBe(Number.POSITIVE_INFINITY)
})

it('another change takes the readiness with it', async () => {
  const { actual, want, plan, apply } = planning()
  actual.set(read('false'))
  want(read('true'))
  apply(await plan())
  want(service(id, { port: 1, meta: { ready: 'false' } }))
  expect((await plan()).update).toHaveLength(1)
})

it('nothing is removed as long as the lists are not complete', async () => {
  const early = planning(false)
  early.actual.set(read('true'))
  expect(await early.plan('all')).toMatchObject({ deregister: [], held: [] })
  const late = planning()
  late.actual.set(read('true'))
  expect((await late.plan('all')).deregister).toHaveLength(1)
})
