import { expect, it } from 'vitest'
import { TokenBucket } from '../../../../src/common/web/token-bucket.ts'

it('lets a burst pass, and then one each interval, however long nobody came', () => {
  const bucket = new TokenBucket({ intervalMs: 100, burst: 2 }, 1_000)
  const passed = (nowMs: number): boolean => bucket.take(nowMs)
  expect([passed(1_000), passed(1_000), passed(1_000)]).toEqual([true, true, false])
  expect([passed(1_099), passed(1_100), passed(1_199), passed(1_200)]).toEqual([false, true, false, true])
  expect([1, 2, 3].map(() => passed(60_000))).toEqual([true, true, false])
})
