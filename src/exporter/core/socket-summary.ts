/** The six figures that say how a pod's sockets are, without reading every one of them. */
import { PodsonarError } from '../../common/errors.ts'
import { parseSnmp, parseSockstat } from './parse-sockstat.ts'

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
  const v4 = parseSockstat(sockstat)
  const v6 = sockstat6 === undefined ? undefined : parseSockstat(sockstat6)
  const figure = (table: ReturnType<typeof parseSockstat>, row: string, name: string): number => {
    const value = table.get(row)?.get(name)
    if (value === undefined)
      throw new PodsonarError(
        'malformed_proc_file',
        `Cannot find ${row} ${name}, expected it in proc(5) files`,
      )
    return value
  }
  const inBoth = (row: string): number =>
    figure(v4, row, 'inuse') + (v6 === undefined ? 0 : figure(v6, `${row}6`, 'inuse'))
  return {
    established: figure(parseSnmp(snmp), 'Tcp', 'CurrEstab'),
    inuse: inBoth('TCP'),
    timewait: figure(v4, 'TCP', 'tw'),
    orphan: figure(v4, 'TCP', 'orphan'),
    udp: inBoth('UDP'),
    total: figure(v4, 'sockets', 'used'),
  }
}
