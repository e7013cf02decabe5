import { describe, expect, it } from 'vitest'
import { Family } from '../../../src/common/exposition.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import type { Collector } from '../../../src/exporter/collector.ts'
import { snapshotOf } from '../../../src/exporter/core/containers.ts'
import { scrapeBudgetMs, Scraper } from '../../../src/exporter/scrape.ts'

const empty = snapshotOf([], undefined)

function scraper(collectors: Collector[], snapshot = () => Promise.resolve(empty)): Scraper {
  return new Scraper({ collectors, snapshot, log: silentLogger })
}

function collector(name: string, collect: Collector['collect']): Collector {
  return { name, collect }
}

const good = collector('good', () => Promise.resolve([new Family('a', 'gauge', 'b')]))
const bad = collector('bad', () => Promise.reject(new Error('no')))

describe('a collection', () => {
  it('contains the failure of one collector', async () => {
    const { results, snapshot } = await scraper([good, bad]).collect(1_000)
    expect(results.map(({ collector, families }) => [collector, families?.length])).toEqual([
      ['good', 1],
      ['bad', undefined],
    ])
    expect(snapshot).toBe(empty)
  })

  it('leaves out what is late, and does not begin it again while it runs', async () => {
    let begun = 0
    let finish: (families: Family[]) => void = () => undefined
    const slow = collector('slow', () => {
      begun += 1
      return new Promise((resolve) => (finish = resolve))
    })
    const running = scraper([slow, good])
    const first = await running.collect(20)
    expect(first.results.map(({ families }) => families?.length)).toEqual([undefined, 1])
    const second = await running.collect(20)
    expect(second.results.map(({ families }) => families?.length)).toEqual([undefined, 1])
    expect(begun).toBe(1)
    finish([])
    await Promise.resolve()
    const third = running.collect(1_000)
    finish([])
    await expect.poll(() => begun).toBe(2)
    finish([])
    expect((await third).results[0]?.families).toEqual([])
  })

  it('is shared by scrapes that overlap', async () => {
    let begun = 0
    const counting = collector('counting', async () => {
      begun += 1
      return Promise.resolve([])
    })
    const running = scraper([counting])
    await Promise.all([running.collect(100), running.collect(100), running.collect(100)])
    expect(begun).toBe(1)
    await running.collect(100)
    expect(begun).toBe(2)
  })

  it('fails every collector when containers cannot be listed', async () => {
    const { results, snapshot } = await scraper([good], () => Promise.reject(new Error('no'))).collect(100)
    expect(results[0]?.families).toBeUndefined()
    expect(snapshot).toBeUndefined()
  })
})

it.each([
  ['10', 9_000],
  ['1', 900],
  ['0.2', 150],
  ['60', 59_000],
  [undefined, 9_000],
  ['abc', 9_000],
  ['-1', 9_000],
  ['0', 9_000],
])('a scrape timeout of %s leaves %i ms', (header, ms) => {
  expect(scrapeBudgetMs(header)).toBe(ms)
})
