import { Family } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import type { NetworkNamespace, Snapshot } from '../core/containers.ts'
import { summarizeSockets, summarizeWithTable, type SocketSummary } from '../core/socket-summary.ts'
import type { LabelMaker } from '../core/labels.ts'
import { eachNamespace } from '../slices.ts'
import type { Procfs } from '../procfs.ts'
import type { SharedTable } from '../shared-table.ts'

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
  /** Saves two files of three where it is read for each scrape anyway. */
  readonly table: SharedTable
  readonly labels: LabelMaker
  /** Told the error code of each namespace that could not be read. */
  readonly onSkipped: (reason: string) => void
}

/** `container_sockstat_*`: six figures a pod that cost next to nothing, however many sockets there are. */
export function sockstatCollector(options: SockstatOptions): Collector {
  return {
    name: 'sockstat',
    async collect(snapshot, signal) {
      const families = (Object.keys(help) as (keyof SocketSummary)[]).map((figure) => ({
        figure,
        family: new Family(`container_sockstat_${figure}`, 'gauge', help[figure]),
      }))
      const add = (namespace: NetworkNamespace, summary: SocketSummary): void => {
        const own = options.labels.namespace(namespace)
        for (const { figure, family } of families) family.add(own, summary[figure])
      }
      const { procfs, table, onSkipped } = options
      if (!table.readsEachTime || !(await addWithTable(options, snapshot, signal, add)))
        await eachNamespace(snapshot.namespaces, signal, onSkipped, (namespace, pid) => {
          add(namespace, readSummary(procfs, pid))
        })
      return families.map(({ family }) => family)
    },
  }
}

/** Gives false, and adds nothing, when there is no table. */
async function addWithTable(
  { procfs, table, onSkipped }: SockstatOptions,
  snapshot: Snapshot,
  signal: AbortSignal,
  add: (namespace: NetworkNamespace, summary: SocketSummary) => void,
): Promise<boolean> {
  const reading = table.read(snapshot).catch(() => undefined)
  const files: { readonly namespace: NetworkNamespace; readonly sockstat: string }[] = []
  await eachNamespace(snapshot.namespaces, signal, onSkipped, (namespace, pid) => {
    files.push({ namespace, sockstat: procfs.text(pid, 'net/sockstat') })
  })
  const sockets = await reading
  if (sockets === undefined) return false
  for (const { namespace, sockstat } of files) {
    const own = sockets.namespaces.get(namespace.inode)
    if (own === undefined) onSkipped('process_gone')
    else add(namespace, summarizeWithTable(sockstat, own))
  }
  return true
}

/** The figures of the network namespace that a process is in. @throws as Procfs.text, or `malformed_proc_file` */
export function readSummary(procfs: Procfs, pid: number): SocketSummary {
  return summarizeSockets(
    procfs.text(pid, 'net/sockstat'),
    procfs.optionalText(pid, 'net/sockstat6'),
    procfs.text(pid, 'net/snmp'),
  )
}
