import { setImmediate } from 'node:timers/promises'
import { Family, joinLabels, renderLabels } from '../../common/exposition.ts'
import type { TextBuffer } from '../../common/text-buffer.ts'
import type { Collector } from '../collector.ts'
import { isMapped, formatAddress } from '../core/address.ts'
import { cgroupIdsOf, OwnersMemory, type ConnectionOwner } from '../core/connection-owners.ts'
import {
  boundConnections,
  statusNames,
  type BoundConnections,
  type ConnectionBounds,
} from '../core/connections.ts'
import type { LabelMaker } from '../core/labels.ts'
import type { NestedCgroups } from '../nested-cgroups.ts'
import type { SharedTable } from '../shared-table.ts'

export interface ConnectionsOptions {
  readonly table: SharedTable
  readonly labels: LabelMaker
  readonly nested: NestedCgroups
  /** NODE_NAME, for the label `node`. */
  readonly node: string
  readonly bounds: ConnectionBounds
  /** Told how many series each bound folded. */
  readonly onFolded: (bound: 'pod' | 'node', series: number) => void
}

const name = 'pod_connect_info'
/** The `remote_addr` of what was left over. */
const otherPeers = '~other'

/** `pod_connect_info`: who is connected to whom, and in which state. */
export function connectionsCollector(options: ConnectionsOptions): Collector {
  const { table, labels, nested, bounds, onFolded } = options
  const node = renderLabels({ node: options.node })
  // A collection that is late is not begun a second time: there is one user at a time.
  const memory = new OwnersMemory()
  return {
    name: 'connections',
    async collect(snapshot) {
      const sockets = await table.read(snapshot)
      nested.learn(snapshot.containers, cgroupIdsOf(sockets))
      const bound = await boundConnections(snapshot, sockets, bounds, nested.resolve, setImmediate, memory)
      onFolded('pod', bound.folded.pod)
      onFolded('node', bound.folded.node)
      const family = new Family(
        name,
        'gauge',
        'Number of TCP sockets by peer and state; LISTEN has the local port in remote_port.',
      )
      const ownerLabels = ({ pod, container }: ConnectionOwner): string =>
        joinLabels(labels.connection(pod, container), node)
      family.addLines((lines) => writeSeries(lines, bound, ownerLabels))
      for (const { owner, state, count } of bound.others) {
        const peer = { remote_addr: otherPeers, remote_port: '', status: statusNames[state] ?? '' }
        family.add(joinLabels(renderLabels(peer), ownerLabels(owner)), count)
      }
      return [family]
    },
  }
}

const head = Buffer.from(`${name}{remote_addr="`)
const port = Buffer.from('",remote_port="')

/** Ten thousand lines and more, of which only address, port and count differ. Gives how many. */
function writeSeries(
  lines: TextBuffer,
  { owners, columns, kept }: BoundConnections,
  ownerLabels: (owner: ConnectionOwner) => string,
): number {
  const { remote, remotePort, state, count } = columns
  let size = 0
  for (const owner of owners) {
    const { from, to } = owner
    const tails: (Buffer | undefined)[] = []
    let rest: string | undefined
    for (let row = from; row < to; row += 1) {
      if (kept[row] === 0) continue
      const status = state[row] ?? 0
      rest ??= ownerLabels(owner)
      tails[status] ??= Buffer.from(`",status="${statusNames[status] ?? ''}",${rest}} `)
      lines.append(head)
      if (isMapped(remote, row * 4)) writeIpv4(lines, remote[row * 4 + 3] ?? 0)
      else lines.ascii(formatAddress(remote, row * 4))
      lines.append(port)
      lines.number(remotePort[row] ?? 0)
      lines.append(tails[status])
      lines.number(count[row] ?? 0)
      lines.ascii('\n')
      size += 1
    }
  }
  return size
}

function writeIpv4(lines: TextBuffer, address: number): void {
  for (let shift = 24; shift >= 0; shift -= 8) {
    if (shift < 24) lines.ascii('.')
    lines.number((address >>> shift) & 255)
  }
}
