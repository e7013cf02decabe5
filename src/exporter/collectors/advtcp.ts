import { Family, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import { tcpStatistics } from '../core/tcp-statistics.ts'
import { eachNamespace } from '../slices.ts'
import type { NetworkOptions } from './network.ts'

/** `container_network_advance_tcp_stats_total`: up to 99 TCP counters a pod; a gauge, as cAdvisor's. */
export function advtcpCollector({ procfs, labels, onSkipped }: NetworkOptions): Collector {
  return {
    name: 'advtcp',
    async collect(snapshot, signal) {
      const family = new Family(
        'container_network_advance_tcp_stats_total',
        'gauge',
        'advance tcp connections statistic for container',
      )
      await eachNamespace(snapshot.namespaces, signal, onSkipped, (namespace, pid) => {
        const own = labels.namespace(namespace)
        const statistics = tcpStatistics(procfs.text(pid, 'net/snmp'), procfs.text(pid, 'net/netstat'))
        for (const { label, value } of statistics) family.add(own, value, renderLabels({ tcp_state: label }))
      })
      return [family]
    },
  }
}
