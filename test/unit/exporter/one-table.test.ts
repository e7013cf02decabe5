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
  const read = async (what: string): Promise<void> => {
    asked.push(what)
    await new Promise((resolve) => setTimeout(resolve, 20 * asked.length))
  }
  const source = {
    name: 'ebpf' as const,
    read: async (): Promise<SocketTable> => {
      await read('table')
      return { namespaces: new Map(), rows: 0 }
    },
  }
  const table = new SharedTable(source, AbortSignal.timeout(10_000))
  const labels = new LabelMaker()
  const health = {
    read: async () => {
      await read('sums')
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

  for (let scrape = 0; scrape < 2; scrape += 1)
    await Promise.all(collectors.map((one) => one.collect(snapshot, AbortSignal.timeout(10_000))))

  expect(asked).toEqual(['sums', 'table', 'sums', 'table'])
})
