import { Family, joinLabels, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import type { LabelMaker } from '../core/labels.ts'
import { tcpState, type NamespaceSockets } from '../core/socket-table.ts'
import type { SharedTable } from '../shared-table.ts'

/** cAdvisor's names for the states (container/libcontainer/handler.go and metrics/prometheus.go), in its order. */
const states = (
  [
    ['established', tcpState.established],
    ['synsent', tcpState.synSent],
    ['synrecv', tcpState.synRecv],
    ['finwait1', tcpState.finWait1],
    ['finwait2', tcpState.finWait2],
    ['timewait', tcpState.timeWait],
    ['close', tcpState.close],
    ['closewait', tcpState.closeWait],
    ['lastack', tcpState.lastAck],
    ['listen', tcpState.listen],
    ['closing', tcpState.closing],
  ] as const
).map(([name, state]) => ({ label: renderLabels({ tcp_state: name }), state }))

/** `container_network_tcp_usage_total` and `…_tcp6_…`: sockets by state, gauges in spite of their names, as cAdvisor's. */
export function tcpCollector(table: SharedTable, labels: LabelMaker): Collector {
  return {
    name: 'tcp',
    async collect(snapshot) {
      const { namespaces } = await table.read(snapshot)
      const families = (['tcp', 'tcp6'] as const).map((protocol) => ({
        protocol,
        family: new Family(
          `container_network_${protocol}_usage_total`,
          'gauge',
          `${protocol} connection usage statistic for container`,
        ),
      }))
      for (const namespace of snapshot.namespaces) {
        const sockets: NamespaceSockets | undefined = namespaces.get(namespace.inode)
        if (sockets === undefined) continue
        const own = labels.namespace(namespace)
        for (const { protocol, family } of families)
          for (const { label, state } of states)
            family.add(joinLabels(own, label), sockets[protocol][state] ?? 0)
      }
      return families.map(({ family }) => family)
    },
  }
}
