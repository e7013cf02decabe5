import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { EventLoopTurns } from '../../../src/common/event-loop.ts'
import { createRegistry } from '../../../src/common/metrics.ts'

function compute(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

it('the longest turn of the event loop is told once, without the time in which there was nothing to do', async () => {
  using turns = new EventLoopTurns()
  await delay(10)
  turns.takeLongestMs()
  await delay(1_000)
  expect(turns.takeLongestMs()).toBeLessThan(900)
  await delay(10)
  compute(400)
  await delay(10)
  const longest = turns.takeLongestMs()
  expect(longest).toBeGreaterThanOrEqual(400)
  expect(turns.takeLongestMs()).toBe(0)
})

it('turns are watched without waking the program', async () => {
  const loops = (): number => performance.nodeTiming.uvMetricsInfo.loopCount
  using _turns = new EventLoopTurns()
  const before = loops()
  await delay(200)
  // Some of the test runner's own; a watch that counts as work would make ten thousands.
  expect(loops() - before).toBeLessThan(100)
})

it('a registry tells of the event loop what needs no timer', async () => {
  using turns = new EventLoopTurns()
  const registry = createRegistry('proxy', turns)
  await delay(1)
  compute(20)
  await delay(1)
  const text = await registry.metrics()
  const value = (name: string): number =>
    Number(new RegExp(`^podsonar_nodejs_eventloop_${name} (\\S+)$`, 'm').exec(text)?.[1])
  expect(value('lag_max_seconds')).toBeGreaterThanOrEqual(0.02)
  expect(value('active_seconds_total')).toBeGreaterThan(0)
  expect(text).not.toMatch(/eventloop_lag_(min|mean|stddev|p\d+)_seconds/)
})
