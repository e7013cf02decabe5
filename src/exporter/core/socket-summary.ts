/** The six figures that say how a pod's sockets are, without reading every one of them. */
import { snmpFigure, sockstatFigure } from './parse-sockstat.ts'

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
  const inBoth = (row: string): number =>
    sockstatFigure(sockstat, row, 'inuse') +
    (sockstat6 === undefined ? 0 : sockstatFigure(sockstat6, `${row}6`, 'inuse'))
  return {
    established: snmpFigure(snmp, 'Tcp', 'CurrEstab'),
    inuse: inBoth('TCP'),
    timewait: sockstatFigure(sockstat, 'TCP', 'tw'),
    orphan: sockstatFigure(sockstat, 'TCP', 'orphan'),
    udp: inBoth('UDP'),
    total: sockstatFigure(sockstat, 'sockets', 'used'),
  }
}
