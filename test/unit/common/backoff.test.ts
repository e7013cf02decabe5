import { describe, expect, it } from 'vitest'
import { Backoff } from '../../../src/common/backoff.ts'

describe('Backoff', () => {
  it('doubles up to its maximum and never leaves the upper half of the ceiling', () => {
    const most = new Backoff({ firstMs: 100, maxMs: 450, random: () => 0.999999 })
    const least = new Backoff({ firstMs: 100, maxMs: 450, random: () => 0 })
    expect([1, 2, 3, 4].map(() => Math.round(most.nextMs()))).toEqual([100, 200, 400, 450])
    expect([1, 2, 3, 4].map(() => least.nextMs())).toEqual([50, 100, 200, 225])
  })

  it('starts over after a success', () => {
    const backoff = new Backoff({ firstMs: 100, random: () => 0 })
    backoff.nextMs()
    backoff.nextMs()
    backoff.reset()
    expect(backoff.nextMs()).toBe(50)
  })
})
