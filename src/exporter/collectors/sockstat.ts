import { Family } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import { summarizeSockets, type SocketSummary } from '../core/socket-summary.ts'
import type { LabelMaker } from '../core/labels.ts'
import { eachNamespace } from '../slices.ts'
import type { Procfs } from '../procfs.ts'

const help: Readonly<Record<keyof SocketSummary, string>> = {
  established: 'TCP connections in ESTABLISHED or CLOSE_WAIT.',
  inuse: 'TCP sockets in use, listening ones included.',
  timewait: 'TCP sockets in TIME_WAIT.',
  orphan: 'TCP sockets that no process holds any more; Linux counts them for the whole node.',
  udp: 'UDP sockets.',
  total: 'Sockets of every kind.',
}

export interface SockstatOptions {
  readonly procfs: Procfs
  readonly labels: LabelMaker
  /** Told the error code of each namespace that could not be read. */
  readonly onSkipped: (reason: string) => void
}

/** `container_sockstat_*`: six figures a pod that cost next to nothing, however many sockets there are. */
export function sockstatCollector({ procfs, labels, onSkipped }: SockstatOptions): Collector {
  return {
    name: 'sockstat',
    async collect(snapshot, signal) {
      const families = (Object.keys(help) as (keyof SocketSummary)[]).map((figure) => ({
        figure,
        family: new Family(`container_sockstat_${figure}`, 'gauge', help[figure]),
      }))
      await eachNamespace(snapshot.namespaces, signal, onSkipped, (namespace, pid) => {
        const summary = readSummary(procfs, pid)
        const own = labels.namespace(namespace)
        for (const { figure, family } of families) family.add(own, summary[figure])
      })
      return families.map(({ family }) => family)
    },
  }
}

/** The figures of the network namespace that a process is in. @throws as Procfs.text, or `malformed_proc_file` */
export function readSummary(procfs: Procfs, pid: number): SocketSummary {
  return summarizeSockets(
    procfs.text(pid, 'net/sockstat'),
    procfs.optionalText(pid, 'net/sockstat6'),
    procfs.text(pid, 'net/snmp'),
  )
}
