import { expect, it } from 'vitest'
import { scrapeTimeoutMs } from '../../../../src/common/web/scrape-timeout.ts'

const rules = { defaultMs: 10_000, maxMs: 60_000, marginMs: 500 }

it.each([
  ['15', 14_500],
  ['2.5', 2_000],
  ['120', 59_500],
  ['0.4', 200],
  [undefined, 9_500],
  ['0', 9_500],
  ['-3', 9_500],
  ['abc', 9_500],
  ['1e9', 9_500],
  [['1', '2'], 9_500],
])('turns %j into %i ms', (header, ms) => {
  expect(scrapeTimeoutMs(header, rules)).toBe(ms)
})
