/** `container_network_{tcp,tcp6,udp,udp6}_usage_total`: sockets by state, gauges in spite of their names, as cAdvisor's. */
import { Family, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import type { LabelMaker } from '../core/labels.ts'
import { tcpState, type NamespaceSockets } from '../core/socket-table.ts'
import type { SharedTable } from '../shared-table.ts'
import { eachInSlices } from '../slices.ts'

type Protocol = 'tcp' | 'tcp6' | 'udp' | 'udp6'

/** Adds the samples of a namespace. */
type AddSamples = (family: Family, own: string, sockets: NamespaceSockets) => void

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

const tcpLabels = tcpStates.map(([name, state]) => ({ label: renderLabels({ tcp_state: name }), state }))
const udpLabels = udpStates.map(([name, figure]) => ({ label: renderLabels({ udp_state: name }), figure }))

function addTcp(protocol: 'tcp' | 'tcp6'): AddSamples {
  return (family, own, sockets) => {
    const counts = sockets[protocol]
    for (const { label, state } of tcpLabels) family.add(own, counts[state] ?? 0, label)
  }
}

function addUdp(protocol: 'udp' | 'udp6'): AddSamples {
  return (family, own, sockets) => {
    const counts = sockets[protocol]
    for (const { label, figure } of udpLabels) family.add(own, counts[figure], label)
  }
}

/** TCP sockets by state. */
export function tcpCollector(table: SharedTable, labels: LabelMaker): Collector {
  return usageCollector('tcp', { tcp: addTcp('tcp'), tcp6: addTcp('tcp6') }, table, labels)
}

/** UDP sockets, and what waits in them or was dropped. */
export function udpCollector(table: SharedTable, labels: LabelMaker): Collector {
  return usageCollector('udp', { udp: addUdp('udp'), udp6: addUdp('udp6') }, table, labels)
}

function usageCollector(
  name: string,
  protocols: Readonly<Partial<Record<Protocol, AddSamples>>>,
  table: SharedTable,
  labels: LabelMaker,
): Collector {
  return {
    name,
    async collect(snapshot, signal) {
      const { namespaces } = await table.read(snapshot)
      const parts = Object.entries(protocols).map(([protocol, addSamples]) => ({
        addSamples,
        family: new Family(
          `container_network_${protocol}_usage_total`,
          'gauge',
          `${protocol} connection usage statistic for container`,
        ),
      }))
      await eachInSlices(snapshot.namespaces, signal, (namespace) => {
        const sockets = namespaces.get(namespace.inode)
        if (sockets === undefined) return
        const own = labels.namespace(namespace)
        for (const { addSamples, family } of parts) addSamples(family, own, sockets)
      })
      return parts.map(({ family }) => family)
    },
  }
}
