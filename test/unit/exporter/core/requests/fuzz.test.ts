/**
 * Real traffic, damaged: cut otherwise, captured in part, lost in part, mutated. Nothing throws, and of traffic that was only
 * lost or cut no exchange comes out that was not there. FUZZ_CASES and FUZZ_SEED make more and other cases.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { recordHttp1, recordHttp2, type Asked, type Recorded } from '../../../../support/http-traffic.ts'
import { Watched } from './watch.ts'

const cases = Number(process.env['FUZZ_CASES'] ?? 300)
const seed = Number(process.env['FUZZ_SEED'] ?? 20_261)

/** Uniform numbers below `n`: Park and Miller's generator. */
function randomFrom(start: number): (n: number) => number {
  let state = (start % 2_147_483_646) + 1
  return (n) => (state = (state * 48_271) % 2_147_483_647) % n
}

describe.each([
  ['HTTP/1', recordHttp1],
  ['HTTP/2', recordHttp2],
])('damaged %s', (_name, record) => {
  let movements: readonly Recorded[] = []
  const lines = new Map<string, number>()
  beforeAll(async () => {
    const recording = await record(60)
    movements = recording.movements
    const line = ({ method, path, status }: Asked): string => `${method} ${path} ${status}`
    for (const asked of recording.asked) lines.set(line(asked), (lines.get(line(asked)) ?? 0) + 1)
  })

  it('gives only what was there when it is cut, captured or lost in part', () => {
    for (let run = 0; run < cases; run += 1) {
      const random = randomFrom(seed + run)
      const watched = new Watched()
      for (const { direction, data } of movements) {
        const fate = random(20)
        const cut = random(data.length + 1)
        if (fate === 0) watched.lose(direction, data.length)
        else if (fate === 1) watched.move(direction, data, cut)
        else if (fate === 2) watched.lose(direction, cut).move(direction, data.subarray(cut))
        else if (fate < 6) watched.move(direction, data.subarray(0, cut)).move(direction, data.subarray(cut))
        else watched.move(direction, data)
      }
      const counts = new Map<string, number>()
      for (const { method, route, status } of watched.exchanges) {
        if (status === undefined || route === undefined) continue
        const line = `${method} ${route} ${status}`
        counts.set(line, (counts.get(line) ?? 0) + 1)
      }
      for (const [line, count] of counts)
        expect(count, `${line}, run ${run}`).toBeLessThanOrEqual(lines.get(line) ?? 0)
    }
  })

  it('never throws when its bytes are wrong', () => {
    for (let run = 0; run < cases; run += 1) {
      const random = randomFrom(seed * 3 + run)
      const watched = new Watched()
      for (const { direction, data } of movements) {
        const bytes = Buffer.from(data)
        for (let k = random(4); k > 0 && bytes.length > 0; k -= 1) bytes[random(bytes.length)] = random(256)
        watched.move(direction, bytes)
      }
      watched.close()
      expect(watched.exchanges.length).toBeLessThanOrEqual(movements.length * 130)
    }
  })

  it('never throws, and never gives a request, for noise', () => {
    for (let run = 0; run < cases; run += 1) {
      const random = randomFrom(seed * 7 + run)
      const watched = new Watched()
      for (let k = 0; k < 20; k += 1) {
        const bytes = Buffer.alloc(random(500))
        for (let at = 0; at < bytes.length; at += 1) bytes[at] = random(256)
        watched.move(random(2) === 0 ? 'sent' : 'received', bytes)
      }
      expect(watched.close().exchanges).toEqual([])
    }
  })
})
