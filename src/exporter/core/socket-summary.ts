/** The six figures that say how a pod's sockets are, without reading every one of them. */
import { snmpFigure, sockstatFigure } from './parse-sockstat.ts'
import { partial, stateCount, tcpState, type NamespaceSockets } from './socket-table.ts'

/** Of one network namespace, IPv4 and IPv6 together. */
export interface SocketSummary {
  /** TCP connections in ESTABLISHED or CLOSE_WAIT: `CurrEstab` of net/snmp. */
  readonly established: number
  /** TCP sockets in use, listening ones included, without TIME_WAIT. */
  readonly inuse: number
  /** TCP sockets in TIME_WAIT. */
  readonly timewait: number
  /** TCP sockets that no process holds any more. Linux counts them for the whole node. */
  readonly orphan: number
  readonly udp: number
  /** Sockets of every kind. */
  readonly total: number
}

/** What net/sockstat does not tell. */
type Beyond = Pick<SocketSummary, 'established'> & { readonly inuse6: number; readonly udp6: number }

/**
 * @param sockstat text of net/sockstat
 * @param sockstat6 text of net/sockstat6; undefined where IPv6 is off
 * @param snmp text of net/snmp
 * @throws PodsonarError `malformed_proc_file`
 */
export function summarizeSockets(
  sockstat: string,
  sockstat6: string | undefined,
  snmp: string,
): SocketSummary {
  const inuse = (row: string): number =>
    sockstat6 === undefined ? 0 : sockstatFigure(sockstat6, row, 'inuse')
  const established = snmpFigure(snmp, 'Tcp', 'CurrEstab')
  return summarize(sockstat, { established, inuse6: inuse('TCP6'), udp6: inuse('UDP6') })
}

/**
 * The same with what a table tells of its sockets, so that one file is read instead of three. Kernels whose `CurrEstab` leaves
 * CLOSE_WAIT out make no difference here.
 *
 * @param sockstat text of net/sockstat
 * @param sockets of the same namespace, from eBPF
 * @throws PodsonarError `malformed_proc_file`
 */
export function summarizeWithTable(sockstat: string, { tcp, tcp6, udp6 }: NamespaceSockets): SocketSummary {
  const inState = (state: number): number => (tcp[state] ?? 0) + (tcp6[state] ?? 0)
  let inuse6 = -(tcp6[partial] ?? 0)
  for (let state = 1; state < stateCount; state += 1) inuse6 += tcp6[state] ?? 0
  const established = inState(tcpState.established) + inState(tcpState.closeWait)
  return summarize(sockstat, { established, inuse6, udp6: udp6.sockets })
}

function summarize(sockstat: string, { established, inuse6, udp6 }: Beyond): SocketSummary {
  return {
    established,
    inuse: sockstatFigure(sockstat, 'TCP', 'inuse') + inuse6,
    timewait: sockstatFigure(sockstat, 'TCP', 'tw'),
    orphan: sockstatFigure(sockstat, 'TCP', 'orphan'),
    udp: sockstatFigure(sockstat, 'UDP', 'inuse') + udp6,
    total: sockstatFigure(sockstat, 'sockets', 'used'),
  }
}
