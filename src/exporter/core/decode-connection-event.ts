/**
 * Records of the ring that the eBPF program connection-events.bpf.c fills: struct connection_event of
 * src/exporter/bpf/connection-events.h, which asserts the same size and offsets.
 */
import { addressText } from './requests/decode-event.ts'

const eventSize = 104
/** AF_INET6. */
const familyIpv6 = 10
/** Of include/net/tcp_states.h. */
const state = { established: 1, synSent: 2, finWait1: 4, close: 7, closeWait: 8 } as const

/**
 * What happened: a connect began, it stands, one was accepted, we or the peer began to end it, it is over; or a connect
 * came to nothing.
 */
export type ConnectionStep =
  'connecting' | 'connected' | 'accepted' | 'ending' | 'peer_ending' | 'closed' | 'failed'

export interface ConnectionEvent {
  readonly step: ConnectionStep
  /** No other connection has it at the same time. */
  readonly socket: bigint
  /** CLOCK_MONOTONIC nanoseconds. */
  readonly atNs: number
  readonly cgroupId: number
  /** Inode of the network namespace. */
  readonly namespace: number
  /** Of the process that connects, at `connecting`; else 0. */
  readonly pid: number
  readonly localAddress: string
  /** 0 at `connecting`: it is looked for. */
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  /** So far. Of what was sent, what the peer has acknowledged. */
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly retransmits: number
  /** Smoothed round-trip time in nanoseconds; 0: not known. */
  readonly rttNs: number
  /** An errno: why it failed or was broken off; 0: it was not. */
  readonly error: number
}

/** Reads the record at `at`; undefined when it is none. */
export function decodeConnectionEvent(
  memory: Uint8Array,
  view: DataView,
  at: number,
  length: number,
): ConnectionEvent | undefined {
  if (length < eventSize) return undefined
  const step = stepOf(view.getUint8(at + 66), view.getUint8(at + 67))
  if (step === undefined) return undefined
  const isIpv6 = view.getUint16(at + 64, true) === familyIpv6
  const wide = (offset: number): number => Number(view.getBigUint64(at + offset, true))
  return {
    step,
    socket: view.getBigUint64(at, true),
    ...{ atNs: wide(8), cgroupId: wide(16), bytesReceived: wide(24), bytesSent: wide(32) },
    namespace: view.getUint32(at + 40, true),
    pid: view.getUint32(at + 44, true),
    rttNs: view.getUint32(at + 48, true) * 1_000,
    retransmits: view.getUint32(at + 52, true),
    error: view.getUint32(at + 56, true),
    localPort: view.getUint16(at + 60, true),
    remotePort: view.getUint16(at + 62, true),
    localAddress: addressText(memory.subarray(at + 72, at + 88), isIpv6),
    remoteAddress: addressText(memory.subarray(at + 88, at + 104), isIpv6),
  }
}

function stepOf(before: number, after: number): ConnectionStep | undefined {
  switch (after) {
    case state.synSent:
      return 'connecting'
    case state.established:
      return before === state.synSent ? 'connected' : 'accepted'
    case state.finWait1:
      return 'ending'
    case state.closeWait:
      return 'peer_ending'
    case state.close:
      return before === state.synSent ? 'failed' : 'closed'
    default:
      return undefined
  }
}
