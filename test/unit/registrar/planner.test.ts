import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
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
  const addressless = new Map<string, number>()
  const view = { desired, complete, addressless }
  const want = (...services: ReturnType<typeof service>[]) =>
    desired.set('uid', 'a/x', { services, notes: [], droppedMeta: 0 })
  const plan = (ids: string[] | 'all' = [id]): Promise<Plan> => planner.plan(ids, view, actual, evidence)
  const apply = (plan: Plan) => {
    for (const update of plan.update) {
      planner.written(update)
      actual.set(update.service)
    }
  }
  return { planner, actual, addressless, want, plan, apply }
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

describe('a pod without an address', () => {
  const heldIds = (plan: Plan) => plan.held.flatMap(({ services }) => services.map((one) => one.id))
  const removedIds = (plan: Plan) => plan.deregister.map((one) => one.id)
  const found = (changes: Partial<ReturnType<typeof service>> = {}) =>
    service(id, { ...changes, meta: { pod_uid: 'uid-x', pod_ip: '10.0.0.1', ...changes.meta } })

  it('keeps its services for 30 s, and each plan looks at them', async () => {
    const { planner, actual, addressless, plan } = planning()
    actual.set(found())
    addressless.set('uid-x', performance.now())
    const first = await plan('all')
    expect([heldIds(first), removedIds(first)]).toEqual([[id], []])
    expect(first.held[0]?.reason).toBe('without an address for less than 30 s')
    expect(planner.nextDeferredAt - performance.now()).toBe(30_000)
    vi.advanceTimersByTime(29_999)
    expect(heldIds(await plan([]))).toEqual([id])
    vi.advanceTimersByTime(1)
    expect(planner.dueDeferred()).toEqual([id])
    const last = await plan(planner.dueDeferred())
    expect([heldIds(last), removedIds(last)]).toEqual([[], [id]])
    expect(planner.nextDeferredAt).toBe(Number.POSITIVE_INFINITY)
  })

  it('loses them at once when it is gone, when another pod has its name, or when another has its address', async () => {
    const gone = planning()
    gone.actual.set(found())
    expect(removedIds(await gone.plan())).toEqual([id])
    const renamed = planning()
    renamed.actual.set(found({ meta: { pod_uid: 'uid-of-another' } }))
    renamed.addressless.set('uid-x', performance.now())
    expect(removedIds(await renamed.plan())).toEqual([id])
    const taken = planning()
    taken.actual.set(found())
    taken.addressless.set('uid-x', performance.now())
    taken.want(service('pod--a--y', { address: '192.168.0.1', meta: { pod_ip: '10.0.0.1' } }))
    const plan = await taken.plan(['pod--a--y'])
    expect(plan.register).toHaveLength(1)
    expect(removedIds(await taken.plan())).toEqual([id])
  })

  it('counts as lost for the guard, so that many that lose theirs one after the other are held', async () => {
    const { actual, addressless, plan } = planning()
    const ids = Array.from({ length: 20 }, (_, index) => `pod--a--${index}`)
    for (const [index, one] of ids.entries()) {
      actual.set(service(one, { meta: { pod_uid: one } }))
      addressless.set(one, performance.now() + index * 1_000)
    }
    vi.advanceTimersByTime(35_000)
    const held = await plan('all')
    expect(held.deregister).toEqual([])
    expect(heldIds(held)).toHaveLength(20)
    expect(held.held.map(({ services }) => services.length)).toEqual([6, 14])
  })
})
