/** The TCP counters that cAdvisor's `advtcp` serves, by the kernel's names in net/snmp (Tcp) and net/netstat (TcpExt). */
import { parseSnmp } from './parse-sockstat.ts'

const names =
  'RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs ' +
  'InErrs OutRsts InCsumErrors EmbryonicRsts SyncookiesSent SyncookiesRecv SyncookiesFailed PruneCalled RcvPruned OfoPruned ' +
  'OutOfWindowIcmps LockDroppedIcmps TW TWRecycled TWKilled TCPTimeWaitOverflow TCPTimeouts TCPSpuriousRTOs TCPLossProbes ' +
  'TCPLossProbeRecovery TCPRenoRecoveryFail TCPSackRecoveryFail TCPRenoFailures TCPSackFailures TCPLossFailures DelayedACKs ' +
  'DelayedACKLocked DelayedACKLost ListenOverflows ListenDrops TCPHPHits TCPPureAcks TCPHPAcks TCPRenoRecovery ' +
  'TCPSackRecovery TCPSACKReneging TCPFACKReorder TCPSACKReorder TCPRenoReorder TCPTSReorder TCPFullUndo TCPPartialUndo ' +
  'TCPDSACKUndo TCPLossUndo TCPFastRetrans TCPSlowStartRetrans TCPLostRetransmit TCPRetransFail TCPRcvCollapsed ' +
  'TCPDSACKOldSent TCPDSACKOfoSent TCPDSACKRecv TCPDSACKOfoRecv TCPAbortOnData TCPAbortOnClose TCPAbortOnMemory ' +
  'TCPAbortOnTimeout TCPAbortOnLinger TCPAbortFailed TCPMemoryPressures TCPMemoryPressuresChrono TCPSACKDiscard ' +
  'TCPDSACKIgnoredOld TCPDSACKIgnoredNoUndo TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPSackShifted TCPSackMerged ' +
  'TCPSackShiftFallback TCPBacklogDrop PFMemallocDrop TCPMinTTLDrop TCPDeferAcceptDrop IPReversePathFilter ' +
  'TCPReqQFullDoCookies TCPReqQFullDrop TCPFastOpenActive TCPFastOpenActiveFail TCPFastOpenPassive TCPFastOpenPassiveFail ' +
  'TCPFastOpenListenOverflow TCPFastOpenCookieReqd TCPSynRetrans TCPOrigDataSent PAWSActive PAWSEstab'

const known = names.split(' ').map((name) => ({ name, label: name.toLowerCase() }))

/**
 * The counters that this kernel has, under cAdvisor's `tcp_state` names. Those that it does not have are left out.
 *
 * @param snmp text of net/snmp
 * @param netstat text of net/netstat
 * @throws PodsonarError `malformed_proc_file`
 */
export function tcpStatistics(snmp: string, netstat: string): { label: string; value: number }[] {
  const tcp = parseSnmp(snmp).get('Tcp')
  const extended = parseSnmp(netstat).get('TcpExt')
  return known.flatMap(({ name, label }) => {
    const value = tcp?.get(name) ?? extended?.get(name)
    return value === undefined ? [] : [{ label, value }]
  })
}
