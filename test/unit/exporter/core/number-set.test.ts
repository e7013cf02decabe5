import { expect, it } from 'vitest'
import { NumberSet } from '../../../../src/exporter/core/number-set.ts'

it('holds what a Set holds, however many, negative ones too', () => {
  const [ours, theirs] = [new NumberSet(), new Set<number>()]
  let seed = 11
  for (let k = 0; k < 20_000; k += 1) {
    seed = Math.imul(seed, 48_271) | 1
    const number = k % 3 === 0 ? k + 1 : seed >> (k % 20)
    if (number === 0) continue
    ours.add(number)
    theirs.add(number)
  }
  const asked = [...theirs, ...Array.from({ length: 60_000 }, (_, k) => k - 30_000)].filter(
    (one) => one !== 0,
  )
  expect(asked.filter((one) => ours.has(one))).toEqual(asked.filter((one) => theirs.has(one)))
})
