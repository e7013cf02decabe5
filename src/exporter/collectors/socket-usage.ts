/** `container_network_{tcp,tcp6,udp,udp6}_usage_total`: sockets by state, gauges in spite of their names, as cAdvisor's. */
import { Family, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import type { LabelMaker } from '../core/labels.ts'
import { tcpState, type NamespaceSockets } from '../core/socket-table.ts'
import type { SharedTable } from '../shared-table.ts'

type Protocol = 'tcp' | 'tcp6' | 'udp' | 'udp6'

/** One state of one protocol: how it is labelled, and its figure in the table. */
interface Figure {
  readonly label: string
  readonly of: (sockets: NamespaceSockets) => number
}

/** cAdvisor's names for the states (container/libcontainer/handler.go and metrics/prometheus.go), in its order. */
const tcpStates = [
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

/** cAdvisor's `udp_state`s: `listen` counts all sockets, whether they are connected or not. */
const udpStates = [
  ['listen', 'sockets'],
  ['dropped', 'drops'],
  ['rxqueued', 'rxQueue'],
  ['txqueued', 'txQueue'],
] as const

function tcpFigures(protocol: 'tcp' | 'tcp6'): Figure[] {
  return tcpStates.map(([name, state]) => ({
    label: renderLabels({ tcp_state: name }),
    of: (sockets) => sockets[protocol][state] ?? 0,
  }))
}

function udpFigures(protocol: 'udp' | 'udp6'): Figure[] {
  return udpStates.map(([name, figure]) => ({
    label: renderLabels({ udp_state: name }),
    of: (sockets) => sockets[protocol][figure],
  }))
}

/** TCP sockets by state. */
export function tcpCollector(table: SharedTable, labels: LabelMaker): Collector {
  return usageCollector('tcp', { tcp: tcpFigures('tcp'), tcp6: tcpFigures('tcp6') }, table, labels)
}

/** UDP sockets, and what waits in them or was dropped. */
export function udpCollector(table: SharedTable, labels: LabelMaker): Collector {
  return usageCollector('udp', { udp: udpFigures('udp'), udp6: udpFigures('udp6') }, table, labels)
}

function usageCollector(
  name: string,
  figures: Readonly<Partial<Record<Protocol, readonly Figure[]>>>,
  table: SharedTable,
  labels: LabelMaker,
): Collector {
  return {
    name,
    async collect(snapshot) {
      const { namespaces } = await table.read(snapshot)
      return Object.entries(figures).map(([protocol, states]) => {
        const family = new Family(
          `container_network_${protocol}_usage_total`,
          'gauge',
          `${protocol} connection usage statistic for container`,
        )
        for (const namespace of snapshot.namespaces) {
          const sockets = namespaces.get(namespace.inode)
          if (sockets === undefined) continue
          const own = labels.namespace(namespace)
          for (const { label, of } of states) family.add(own, of(sockets), label)
        }
        return family
      })
    },
  }
}
