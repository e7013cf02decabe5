import { describe, expect, it } from 'vitest'
import { CountThreshold } from '../../../../src/exporter/core/count-threshold.ts'

/** What sorting says. */
function sorted(counts: readonly number[], keep: number): { least: number; ties: number } {
  if (keep === 0) return { least: Infinity, ties: 0 }
  const highest = counts.toSorted((one, other) => other - one).slice(0, keep)
  const least = highest.at(-1) ?? 0
  return { least, ties: highest.filter((count) => count === least).length }
}

describe('the lowest of the highest counts', () => {
  it.each([
    ['all alike', [1, 1, 1, 1]],
    ['small ones', [3, 1, 2, 2, 9, 1]],
    ['large ones', [5_000, 70_000, 5_000, 1_024]],
    ['small and large ones', [1, 1_023, 1_024, 5_000, 5_000, 1, 2]],
  ])('of %s is what sorting finds', (_what, counts) => {
    for (let keep = 0; keep <= counts.length; keep += 1) {
      const threshold = new CountThreshold()
      for (const count of counts) threshold.add(count)
      expect(threshold.of(keep)).toEqual(sorted(counts, keep))
    }
  })
})
