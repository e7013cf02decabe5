import { expect, it } from 'vitest'
import { sockstatCollector } from '../../../src/exporter/collectors/sockstat.ts'
import { tcpCollector } from '../../../src/exporter/collectors/socket-usage.ts'
import { tcpHealthCollector } from '../../../src/exporter/collectors/tcp-health.ts'
import { joinTcpHealth } from '../../../src/exporter/core/decode-tcp-health.ts'
import { LabelMaker } from '../../../src/exporter/core/labels.ts'
import type { SocketTable } from '../../../src/exporter/core/socket-table.ts'
import { Cgroupfs } from '../../../src/exporter/cgroupfs.ts'
import { NestedCgroups } from '../../../src/exporter/nested-cgroups.ts'
import { Procfs } from '../../../src/exporter/procfs.ts'
import { SharedTable } from '../../../src/exporter/shared-table.ts'

const snapshot = { containers: [], namespaces: [] }

it('lets a scrape read the table once, after the sums of connections that ended', async () => {
  const asked: string[] = []
  let tableIsRead = Promise.withResolvers<undefined>()
  const source = {
    name: 'ebpf' as const,
    read: (): Promise<SocketTable> => {
      asked.push('table')
      // Once all have asked that do so at once.
      const { resolve } = tableIsRead
      setImmediate(() => {
        resolve(undefined)
      })
      return tableIsRead.promise.then(() => ({ namespaces: new Map(), rows: 0 }))
    },
  }
  const table = new SharedTable(source, AbortSignal.timeout(10_000))
  const labels = new LabelMaker()
  const health = {
    read: async () => {
      asked.push('sums')
      // Whoever asks for the table only now gets another one.
      await tableIsRead.promise
      await new Promise(setImmediate)
      return { rows: joinTcpHealth([]), long: [], connections: 0, lost: 0 }
    },
  }
  const nested = new NestedCgroups(new Cgroupfs('/sys/fs/cgroup'))
  const onSkipped = (): undefined => undefined
  const collectors = [
    tcpHealthCollector({ source: health, table, labels, nested, onReading: () => undefined }),
    tcpCollector(table, labels),
    sockstatCollector({ procfs: Procfs.trusted('/proc'), table, labels, onSkipped }),
  ]

  for (let scrape = 0; scrape < 2; scrape += 1) {
    tableIsRead = Promise.withResolvers<undefined>()
    await Promise.all(collectors.map((one) => one.collect(snapshot, AbortSignal.timeout(10_000))))
  }

  expect(asked).toEqual(['sums', 'table', 'sums', 'table'])
})
