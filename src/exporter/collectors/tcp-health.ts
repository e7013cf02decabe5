import { Family, renderLabels } from '../../common/exposition.ts'
import type { Collector } from '../collector.ts'
import {
  connectBounds,
  failureReasons,
  lifetimeBounds,
  tcpHealthField as field,
} from '../core/decode-tcp-health.ts'
import type { LabelMaker } from '../core/labels.ts'
import { rttBounds, rttBuckets } from '../core/live-tcp.ts'
import { SocketOwners } from '../core/socket-owner.ts'
import { TcpHealthTotals, type ForgottenOwner, type TcpHealthFigures } from '../core/tcp-health.ts'
import type { TcpHealthSource } from '../ebpf/tcp-health-source.ts'
import type { NestedCgroups } from '../nested-cgroups.ts'
import type { SharedTable } from '../shared-table.ts'

export interface TcpHealthCollectorOptions {
  readonly source: Pick<TcpHealthSource, 'read'>
  /** Gives the round-trip times and bytes of open connections, when it is read with eBPF. */
  readonly table: SharedTable
  readonly labels: LabelMaker
  readonly nested: NestedCgroups
  /** Told of connections that are remembered, and of events that were not counted since the start. */
  readonly onReading: (connections: number, lost: number) => void
}

/**
 * How connections of each container begin, fare and end. What each metric answers: docs/ebpf.md.
 *
 * Before any other that reads the table: the sums of those that ended are then read first. A connection that ends in between
 * is then in neither, which the next reading makes good; in the other order its bytes would count twice.
 */
export function tcpHealthCollector({
  source,
  table,
  labels,
  nested,
  onReading,
}: TcpHealthCollectorOptions): Collector {
  const totals = new TcpHealthTotals()
  let forget: readonly ForgottenOwner[] = []
  return {
    name: 'tcp_health',
    async collect(snapshot, signal) {
      // Both at once: whoever asks for the table later than the other collectors gets one of its own.
      const [{ rows, long, connections, lost }, { live }] = await Promise.all([
        source.read(forget, signal).then((reading) => {
          forget = []
          return reading
        }),
        table.read(snapshot),
      ])
      nested.learn(snapshot.containers, [...rows.cgroupId, ...(live?.cgroupId ?? [])])
      const owners = new SocketOwners(snapshot, nested.resolve)
      const { figures, forgotten } = totals.update({ rows, long, live }, owners, performance.now())
      forget = forgotten
      onReading(connections, lost)
      return render(figures, labels)
    },
  }
}

/** A counter, and the labels that tell it from others of its family. */
interface Counter {
  readonly at: number
  readonly label: string
}

function byDirection(counters: Readonly<Record<string, number>>): Counter[] {
  return Object.entries(counters).map(([direction, at]) => ({ at, label: renderLabels({ direction }) }))
}

const directions = byDirection({ outbound: field.connects, inbound: field.accepts })
const resets = byDirection({ received: field.resetsReceived, sent: field.resetsSent })
const reasons = failureReasons.map((reason, index): Counter => ({
  at: field.failures + index,
  label: renderLabels({ reason }),
}))
const rttLabels = Array.from({ length: rttBuckets }, (_, bucket) =>
  renderLabels({ le: String(rttBounds[bucket] ?? '+Inf') }),
)

function render(figures: readonly TcpHealthFigures[], labels: LabelMaker): Family[] {
  const opened = new Family(
    'container_tcp_connections_opened_total',
    'counter',
    'TCP connections that were established: outbound by connect, inbound by a listening socket.',
  )
  const failures = new Family(
    'container_tcp_connect_failures_total',
    'counter',
    'Outbound TCP connections that were never established, by reason.',
  )
  const connect = new Family(
    'container_tcp_connect_duration_seconds',
    'histogram',
    'Time from connect to established of outbound TCP connections.',
  )
  const lifetime = new Family(
    'container_tcp_connection_lifetime_seconds',
    'histogram',
    'Time from established to closed of TCP connections that ended.',
  )
  const retransmits = new Family(
    'container_tcp_retransmits_total',
    'counter',
    'TCP segments that were sent again.',
  )
  const reset = new Family('container_tcp_resets_total', 'counter', 'TCP resets by direction.')
  const received = new Family(
    'container_tcp_received_bytes_total',
    'counter',
    'Bytes that TCP connections received in order.',
  )
  const sent = new Family(
    'container_tcp_sent_bytes_total',
    'counter',
    'Bytes that TCP connections sent and the peer acknowledged.',
  )
  const rtt = new Family(
    'container_tcp_rtt_seconds_bucket',
    'gauge',
    'Open TCP connections whose smoothed round-trip time is at most le.',
  )
  const long = new Family(
    'container_tcp_long_connections',
    'gauge',
    'Open TCP connections that have stood for TCP_HEALTH_LONG_SECONDS or more.',
  )
  for (const { owner, counters, ...live } of figures) {
    const own = labels.owner(owner.pod, owner.container)
    const count = (at: number): number => counters[at] ?? 0
    for (const { at, label } of directions) opened.add(own, count(at), label)
    for (const { at, label } of reasons) if (count(at) > 0) failures.add(own, count(at), label)
    addTimes(connect, own, connectBounds, counters, field.connectBuckets, count(field.connectNs))
    addTimes(lifetime, own, lifetimeBounds, counters, field.lifetimeBuckets, count(field.lifetimeNs))
    retransmits.add(own, count(field.retransmits))
    for (const { at, label } of resets) reset.add(own, count(at), label)
    received.add(own, live.bytesReceived)
    sent.add(own, live.bytesAcked)
    addRtt(rtt, own, live.rtt)
    long.add(own, live.long)
  }
  return [opened, failures, connect, lifetime, retransmits, reset, received, sent, rtt, long]
}

/** A histogram of times whose buckets begin at `from`, from its first observation on: most containers never connect anywhere. */
function addTimes(
  family: Family,
  own: string,
  bounds: readonly number[],
  counters: Float64Array,
  from: number,
  sumNs: number,
): void {
  const end = from + bounds.length + 1
  let at = from
  while (at < end && counters[at] === 0) at += 1
  if (at < end) family.addHistogram(own, bounds, counters.subarray(from, end), sumNs / 1e9)
}

/** Cumulative as a histogram's buckets, so that histogram_quantile() reads them, but a gauge: connections come and go. */
function addRtt(family: Family, own: string, rtt: Uint32Array): void {
  let count = 0
  if (!rtt.some((value) => value > 0)) return
  for (let bucket = 0; bucket < rttBuckets; bucket += 1) {
    count += rtt[bucket] ?? 0
    family.add(own, count, rttLabels[bucket])
  }
}
