import { Family, joinLabels, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import type { LabelMaker } from '../core/labels.ts'
import type { SharedTable } from '../shared-table.ts'

/** cAdvisor's `udp_state`s: `listen` counts all sockets, whether they are connected or not. */
const states = (
  [
    ['listen', 'sockets'],
    ['dropped', 'drops'],
    ['rxqueued', 'rxQueue'],
    ['txqueued', 'txQueue'],
  ] as const
).map(([name, figure]) => ({ label: renderLabels({ udp_state: name }), figure }))

/** `container_network_udp_usage_total` and `…_udp6_…`: gauges in spite of their names, as cAdvisor's. */
export function udpCollector(table: SharedTable, labels: LabelMaker): Collector {
  return {
    name: 'udp',
    async collect(snapshot) {
      const { namespaces } = await table.read(snapshot)
      const families = (['udp', 'udp6'] as const).map((protocol) => ({
        protocol,
        family: new Family(
          `container_network_${protocol}_usage_total`,
          'gauge',
          `${protocol} connection usage statistic for container`,
        ),
      }))
      for (const namespace of snapshot.namespaces) {
        const sockets = namespaces.get(namespace.inode)
        if (sockets === undefined) continue
        const own = labels.namespace(namespace)
        for (const { protocol, family } of families)
          for (const { label, figure } of states)
            family.add(joinLabels(own, label), sockets[protocol][figure])
      }
      return families.map(({ family }) => family)
    },
  }
}
