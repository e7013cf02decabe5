import { Family, joinLabels, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import { boundConnections, statusNames, type ConnectionBounds } from '../core/connections.ts'
import type { LabelMaker } from '../core/labels.ts'
import type { SharedTable } from '../shared-table.ts'

export interface ConnectionsOptions {
  readonly table: SharedTable
  readonly labels: LabelMaker
  /** NODE_NAME, for the label `node`. */
  readonly node: string
  readonly bounds: ConnectionBounds
  /** Told how many series each bound folded. */
  readonly onFolded: (bound: 'pod' | 'node', series: number) => void
}

/** `pod_connect_info`: who is connected to whom, and in which state. */
export function connectionsCollector(options: ConnectionsOptions): Collector {
  const { table, labels, bounds, onFolded } = options
  const node = renderLabels({ node: options.node })
  return {
    name: 'connections',
    async collect(snapshot) {
      const { series, folded } = boundConnections(snapshot, await table.read(snapshot), bounds)
      onFolded('pod', folded.pod)
      onFolded('node', folded.node)
      const family = new Family(
        'pod_connect_info',
        'gauge',
        'Number of TCP sockets by peer and state; LISTEN has the local port in remote_port.',
      )
      // Series of one owner follow each other; addresses, ports and states need no escaping.
      let [ofPod, ofContainer, owner] = [series[0]?.pod, '', '']
      for (const { pod, container, remoteAddress, remotePort, state, count } of series) {
        if (owner === '' || pod !== ofPod || container !== ofContainer) {
          ;[ofPod, ofContainer] = [pod, container]
          owner = joinLabels(labels.connection(pod, container), node)
        }
        const peer = `remote_addr="${remoteAddress}",remote_port="${remotePort ?? ''}"`
        family.add(`${peer},status="${statusNames[state] ?? ''}",${owner}`, count)
      }
      return [family]
    },
  }
}
