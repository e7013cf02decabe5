import { describe, expect, test } from 'vitest'
import { Backoff } from '../../../src/common/backoff.ts'

describe('Backoff', () => {
  test('doubles up to its ceiling, between half and all of it', () => {
    const low = new Backoff({ firstMs: 100, maxMs: 500, random: () => 0 })
    expect([low.nextMs(), low.nextMs(), low.nextMs(), low.nextMs(), low.nextMs()]).toEqual([
      50, 100, 200, 250, 250,
    ])
    const high = new Backoff({ firstMs: 100, maxMs: 500, random: () => 1 })
    expect([high.nextMs(), high.nextMs(), high.nextMs(), high.nextMs()]).toEqual([100, 200, 400, 500])
  })

  test('begins again after a success', () => {
    const backoff = new Backoff({ firstMs: 100, random: () => 0 })
    backoff.nextMs()
    backoff.nextMs()
    backoff.reset()
    expect(backoff.nextMs()).toBe(50)
  })
})
