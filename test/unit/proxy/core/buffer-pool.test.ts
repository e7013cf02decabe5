import { expect, it } from 'vitest'
import { BufferPool } from '../../../../src/proxy/core/buffer-pool.ts'

it('buffers that were given back are used again, up to the number that is kept', () => {
  const pool = new BufferPool(1)
  const [one, two] = [pool.take(), pool.take()]
  expect(one).not.toBe(two)
  pool.give(one)
  pool.give(two)
  expect(pool.take()).toBe(one)
  expect(pool.take()).not.toBe(two)
})
