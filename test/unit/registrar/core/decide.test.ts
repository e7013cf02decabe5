import { describe, expect, it } from 'vitest'
import { decide, differences, isReadyOnly } from '../../../../src/registrar/core/decide.ts'
import { service } from '../../../support/records.ts'

const sync = { clusterName: 'c1', policy: 'sync' } as const
const wanted = service('pod--a--b')
const foreign = service('pod--a--b', { meta: { cluster_name: 'c2' } })
const nameless = { ...wanted, meta: {} }

describe('what is decided for a service', () => {
  it.each([
    ['wanted and absent: register', wanted, undefined, { type: 'register', service: wanted }],
    ['wanted and equal: nothing', wanted, service('pod--a--b'), { type: 'none' }],
    [
      'wanted and different: update, naming what differs',
      wanted,
      service('pod--a--b', { address: '10.0.0.9', meta: { old: 'x' } }),
      { type: 'update', service: wanted, changed: ['address', 'meta.old'] },
    ],
    [
      "wanted, but the ID is another cluster's: conflict",
      wanted,
      foreign,
      { type: 'conflict', service: wanted, owner: 'c2' },
    ],
    [
      'wanted, but the ID is nobody’s: conflict',
      wanted,
      nameless,
      { type: 'conflict', service: wanted, owner: '' },
    ],
    ['unwanted and ours: deregister', undefined, wanted, { type: 'deregister', service: wanted }],
    ["unwanted and another cluster's: nothing", undefined, foreign, { type: 'none' }],
    ['unwanted and nobody’s: nothing', undefined, nameless, { type: 'none' }],
    ['unwanted and absent: nothing', undefined, undefined, { type: 'none' }],
  ])('%s', (_title, desired, actual, decision) => {
    expect(decide(desired, actual, sync)).toEqual(decision)
  })

  it('upsert-only never removes', () => {
    expect(decide(undefined, wanted, { ...sync, policy: 'upsert-only' })).toEqual({ type: 'none' })
  })

  it('the seed program’s services, which have no managed_by, are ours by cluster_name', () => {
    const seed = service('pod--a--b', { tags: ['pod--a--b'] })
    expect(decide(wanted, seed, sync)).toMatchObject({ type: 'update', changed: ['tags'] })
  })
})

it('the order of tags does not count', () => {
  expect(differences(service('x', { tags: ['a', 'b'] }), service('x', { tags: ['b', 'a'] }))).toEqual([])
  expect(differences(service('x', { tags: ['a'] }), service('x', { tags: ['b'] }))).toEqual(['tags'])
})

it('a change of readiness alone is told from others', () => {
  const unready = service('x', { meta: { ready: 'false' } })
  expect(isReadyOnly(differences(unready, service('x')))).toBe(true)
  expect(isReadyOnly(differences({ ...unready, port: 1 }, service('x')))).toBe(false)
})
