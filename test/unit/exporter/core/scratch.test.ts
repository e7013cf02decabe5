import { expect, it } from 'vitest'
import { Scratch } from '../../../../src/exporter/core/scratch.ts'

it('gives the same memory again while about as much is needed', () => {
  const scratch = new Scratch()
  const first = scratch.take(10_000)
  expect(first.length).toBeGreaterThanOrEqual(10_000)
  expect(scratch.take(11_000)).toBe(first)
  expect(scratch.take(5_000)).toBe(first)
})

it('grows when more is needed, and shrinks when far less is', () => {
  const scratch = new Scratch()
  scratch.take(1_000)
  expect(scratch.take(1_000_000).length).toBeGreaterThanOrEqual(1_000_000)
  expect(scratch.take(10_000).length).toBeLessThan(20_000)
})
