/** What src/exporter/bpf/sockops.h lays out in memory: names in their order there, sizes, and how counters are summed. */

/** Why a message took the normal way: enum sockops_fallback. */
export const fallbackReasons = [
  'no_peer',
  'not_read_yet',
  'bytes_in_flight',
  'buffer_full',
  'excluded',
  'closing',
  'stopped',
  'observed',
  'no_room',
] as const
export type FallbackReason = (typeof fallbackReasons)[number]

/** Calls that exclude a container: enum sockops_call. */
export const excludingCalls = [
  'fionread',
  'splice',
  'wait_all',
  'urgent',
  'truncate',
  'zero_copy',
  'tls_in_kernel',
  'peek_offset',
  'blocking_receive',
  'io_uring',
  'peek',
  'timestamps',
] as const
export type ExcludingCall = (typeof excludingCalls)[number]

/** Bytes of struct sockops_end. */
export const sockopsEndSize = 80
const [cgroupIdAt, drainedAt, flowAt] = [16, 32, 40]

/** 64-bit words of struct sockops_counters. */
const counterWords = 3 + fallbackReasons.length
/** Bytes of struct sockops_counters. */
export const sockopsCountersSize = 8 * counterWords

/** Sums over all processors since the programs were loaded. */
export interface SockopsCounters {
  readonly messages: number
  readonly bytes: number
  /** Ends of connections that were watched. */
  readonly connections: number
  readonly fallbacks: Readonly<Record<FallbackReason, number>>
}

/** @param memory the per-processor values of the counters, one after the other */
export function sumCounters(memory: BigUint64Array): SockopsCounters {
  const sum = (word: number): number =>
    memory.reduce((total, value, index) => total + (index % counterWords === word ? Number(value) : 0), 0)
  const fallbacks = Object.fromEntries(fallbackReasons.map((reason, index) => [reason, sum(3 + index)]))
  return {
    ...{ messages: sum(0), bytes: sum(1), connections: sum(2) },
    fallbacks: fallbacks as Record<FallbackReason, number>,
  }
}

/** Bytes of struct sockops_chosen. */
export const sockopsChosenSize = 16

/** A container's entry: its connections that are made from `fromNs` (CLOCK_MONOTONIC) on may be short-cut. */
export function encodeChosen(fromNs: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(0n, fromNs).buffer)
}

/** Which calls a container made, by the bits of struct sockops_chosen. */
export function callsOf(bits: number): ExcludingCall[] {
  return excludingCalls.filter((_call, index) => (bits & (1 << index)) !== 0)
}

/** One end of a connection. */
export interface SockopsEnd {
  readonly cookie: bigint
  readonly cgroupId: number
  /** Nothing waits in its queue. */
  readonly drained: boolean
  /** Its struct sockops_flow. */
  readonly flow: Uint8Array
}

/** Decodes entries of the map of ends. */
export function decodeEnds(keys: Uint8Array, values: Uint8Array, length: number): SockopsEnd[] {
  const [cookies, ends] = [viewOf(keys), viewOf(values)]
  return Array.from({ length }, (_, k) => ({
    cookie: cookies.getBigUint64(k * 8, true),
    cgroupId: Number(ends.getBigUint64(k * sockopsEndSize + cgroupIdAt, true)),
    drained: ends.getUint32(k * sockopsEndSize + drainedAt, true) !== 0,
    flow: values.slice(k * sockopsEndSize + flowAt, (k + 1) * sockopsEndSize),
  }))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
