import { describe, expect, it } from 'vitest'
import { shardChooser } from '../../../../src/registrar/core/shard.ts'

const ids = Array.from({ length: 6000 }, (_, index) => `pod--default--web-${index}`)
const hash = (shards: string[], rebalance = false) => shardChooser({ shards, strategy: 'hash', rebalance })

describe('hash shards', () => {
  it('are even, and the same whatever the order of the list', () => {
    const counts = new Map<string | undefined, number>()
    for (const id of ids) {
      const shard = hash(['a', 'b', 'c'])(id, undefined)
      expect(hash(['c', 'a', 'b'])(id, undefined)).toBe(shard)
      counts.set(shard, (counts.get(shard) ?? 0) + 1)
    }
    expect([...counts.keys()].sort()).toEqual(['a', 'b', 'c'])
    for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(200)
  })

  it('move only to a new shard when one is added, and only a share of them', () => {
    const before = hash(['a', 'b', 'c'])
    const after = hash(['a', 'b', 'c', 'd'])
    const moved = ids.filter((id) => before(id, undefined) !== after(id, undefined))
    expect(moved.every((id) => after(id, undefined) === 'd')).toBe(true)
    expect(Math.abs(moved.length - 1500)).toBeLessThan(150)
  })

  it('leave a service where it is while its shard exists', () => {
    const wanted = hash(['a', 'b'])('x', undefined)
    const other = wanted === 'a' ? 'b' : 'a'
    expect(hash(['a', 'b'])('x', other)).toBe(other)
    expect(hash(['a', 'b'])('x', 'gone')).toBe(wanted)
    expect(hash(['a', 'b'], true)('x', other)).toBe(wanted)
  })
})

describe('random shards', () => {
  it('are drawn once and kept', () => {
    const choose = shardChooser({
      shards: ['a', 'b'],
      strategy: 'random',
      rebalance: false,
      random: () => 0.99,
    })
    expect(choose('x', undefined)).toBe('b')
    expect(choose('x', 'a')).toBe('a')
  })
})

it('no shard is given where there are none', () => {
  expect(hash([])('x', undefined)).toBeUndefined()
  expect(shardChooser({ shards: [], strategy: 'random', rebalance: false })('x', 'a')).toBeUndefined()
})
