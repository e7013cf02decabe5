import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { silentLogger } from '../../../src/common/logger.ts'
import { Readiness } from '../../../src/common/web/readiness.ts'
import type { Place } from '../../../src/registrar/consul/leftovers.ts'
import { LeftoverSweeper } from '../../../src/registrar/leftover-sweeper.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const place: Place = { node: 'k8s-c1', kind: 'catalog', services: [{ id: 'pod--a--b', name: 'pods' }] }

/** What a run does with a place that can be cleared, when services are in place after `looks` looks. */
async function steps(looks: number, places: readonly Place[] = [place]): Promise<string[]> {
  const done: string[] = []
  const sweeper = new LeftoverSweeper({
    leftovers: {
      find: () => Promise.resolve([...places]),
      clear: ({ node }) => Promise.resolve(void done.push(`clear ${node}`)),
      abandoned: () => Promise.resolve([]),
    },
    ...{ backend: 'agent', readiness: new Readiness(), onLeft: () => undefined },
    log: { ...silentLogger, warn: ({ event }: { event: string }) => void done.push(event) },
    isInPlace: () => Promise.resolve(done.push('look') > looks),
  })
  await Promise.all([sweeper.sweep(new Set(), new AbortController().signal), vi.runAllTimersAsync()])
  return done
}

it('services are removed elsewhere only when they are found where they belong', async () => {
  expect(await steps(0)).toEqual(['look', 'clear k8s-c1'])
  expect(await steps(2)).toEqual(['look', 'look', 'look', 'clear k8s-c1'])
})

it('they stay, and that is said, when they are not in time', async () => {
  const looks = Array.from({ length: 6 }, () => 'look')
  expect(await steps(Infinity)).toEqual([...looks, 'leftovers_failed'])
})

it('nobody looks when nothing is to be removed', async () => {
  expect(await steps(0, [])).toEqual([])
})
