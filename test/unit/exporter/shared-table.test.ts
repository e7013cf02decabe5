import { afterEach, expect, it, vi } from 'vitest'
import type { SocketTable, SocketTableSource } from '../../../src/exporter/core/socket-table.ts'
import { SharedTable } from '../../../src/exporter/shared-table.ts'

const snapshot = { containers: [], namespaces: [] }

/** Takes some time, and gives another table each time. */
function sourceOf(name: SocketTableSource['name']): SocketTableSource {
  let rows = 0
  return {
    name,
    read: async (): Promise<SocketTable> => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      rows += 1
      return { namespaces: new Map(), rows }
    },
  }
}

afterEach(() => {
  vi.useRealTimers()
})

it('keeps a table from /proc for a while, whatever the clock on the wall does', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2030, 0, 1) })
  const table = new SharedTable(sourceOf('procfs'), AbortSignal.timeout(10_000))
  await table.read(snapshot)
  for (const now of [Date.UTC(2040, 0, 1), Date.UTC(1999, 0, 1)]) {
    vi.setSystemTime(now)
    expect(await table.read(snapshot)).toMatchObject({ rows: 1 })
    expect(table.figures?.ageSeconds).toBeLessThan(1)
    expect(table.figures?.ageSeconds).toBeGreaterThanOrEqual(0)
  }
})

it('reads anew each time with eBPF, once for all who ask at the same time', async () => {
  const table = new SharedTable(sourceOf('ebpf'), AbortSignal.timeout(10_000))
  const tables = await Promise.all([table.read(snapshot), table.read(snapshot)])
  expect(tables.map(({ rows }) => rows)).toEqual([1, 1])
  expect(await table.read(snapshot)).toMatchObject({ rows: 2 })
})
