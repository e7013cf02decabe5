import { Counter, Gauge, type Registry } from 'prom-client'
import type { Runtimes } from './runtimes/runtimes.ts'
import type { Collection } from './scrape.ts'
import type { SharedTable } from './shared-table.ts'

/** What the exporter tells of its own work; all of it is set when a collection is over. */
export class ExporterMetrics {
  readonly #success
  readonly #duration
  readonly #containers
  readonly #skipped
  readonly #unreadableMounts
  readonly #folded
  readonly #runtimeUp
  readonly #tableAge
  readonly #tableDuration
  readonly #tableSockets
  readonly #tornChains
  readonly #healthConnections
  readonly #healthLost
  readonly #stackLost
  readonly #sidecarLost
  readonly #falconPushed
  readonly #falconDropped
  readonly #captures
  readonly #captureDropped
  #lost = 0
  #lostPackets = 0
  #lostConnections = 0

  constructor(registry: Registry) {
    const registers = [registry]
    this.#success = new Gauge({
      name: 'podsonar_collector_success',
      help: 'Whether a collector succeeded (1) or its metrics are absent (0).',
      labelNames: ['collector'],
      registers,
    })
    this.#duration = new Gauge({
      name: 'podsonar_collector_duration_seconds',
      help: 'How long a collector took.',
      labelNames: ['collector'],
      registers,
    })
    this.#containers = new Gauge({
      name: 'podsonar_containers',
      help: 'Running containers of this node that the exporter sees.',
      registers,
    })
    this.#skipped = new Counter({
      name: 'podsonar_skipped_total',
      help: 'Containers and network namespaces that were left out of a collection, by reason.',
      labelNames: ['kind', 'reason'],
      registers,
    })
    this.#unreadableMounts = new Gauge({
      name: 'podsonar_unreadable_mounts',
      help: 'Mounts of containers that could not be looked at in the last collection, by reason.',
      labelNames: ['reason'],
      registers,
    })
    this.#folded = new Counter({
      name: 'podsonar_connections_folded_total',
      help: 'Series of pod_connect_info that a bound folded into remote_addr="~other", summed over collections.',
      labelNames: ['bound'],
      registers,
    })
    this.#runtimeUp = new Gauge({
      name: 'podsonar_runtime_up',
      help: 'Whether a container runtime answers.',
      labelNames: ['runtime', 'version', 'endpoint'],
      registers,
    })
    this.#tableAge = new Gauge({
      name: 'podsonar_socket_table_age_seconds',
      help: 'Age of the socket table that connections, tcp and udp were made from.',
      labelNames: ['source'],
      registers,
    })
    this.#tableDuration = new Gauge({
      name: 'podsonar_socket_table_duration_seconds',
      help: 'How long the reading of the socket table took.',
      labelNames: ['source'],
      registers,
    })
    this.#tableSockets = new Gauge({
      name: 'podsonar_socket_table_sockets',
      help: 'Sockets in the socket table.',
      labelNames: ['source'],
      registers,
    })
    this.#tornChains = new Counter({
      name: 'podsonar_socket_table_torn_chains_total',
      help: 'Hash chains that kept changing while the eBPF pass walked them: sockets of theirs may be missing or double.',
      registers,
    })
    this.#healthConnections = new Gauge({
      name: 'podsonar_tcp_health_connections',
      help: 'TCP connections that the kernel remembers for tcp_health; at most TCP_HEALTH_MAX_CONNECTIONS.',
      registers,
    })
    this.#healthLost = new Counter({
      name: 'podsonar_tcp_health_lost_events_total',
      help: 'TCP events that tcp_health could not count, for want of room or because two met on a processor.',
      registers,
    })
    this.#stackLost = new Counter({
      name: 'podsonar_stack_lost_events_total',
      help: 'Events of the network stack that the collector stack could not count, for want of room or because two met on a processor.',
      registers,
    })
    this.#sidecarLost = new Counter({
      name: 'podsonar_sidecar_lost_events_total',
      help: 'Events of connections that the collector sidecar could not count, for want of room or because two met on a processor.',
      registers,
    })
    this.#falconPushed = new Counter({
      name: 'podsonar_falcon_pushed_values_total',
      help: 'Values that the open-falcon agent took.',
      registers,
    })
    this.#falconDropped = new Counter({
      name: 'podsonar_falcon_dropped_values_total',
      help: 'Values that were thrown away because the open-falcon agent did not take them.',
      registers,
    })
    this.#captures = new Counter({
      name: 'podsonar_captures_total',
      help: 'Captures of packets, by how they ended (seconds, bytes, pod_gone, client_gone, stopped, failed) or why they were refused.',
      labelNames: ['outcome'],
      registers,
    })
    this.#captureDropped = new Counter({
      name: 'podsonar_capture_dropped_packets_total',
      help: 'Packets that the kernel dropped because a capture did not keep up.',
      registers,
    })
    // Absent, not zero, where nothing can be captured.
    this.#captureDropped.remove()
    // Absent, not zero, where open-falcon is not used.
    for (const metric of [this.#falconPushed, this.#falconDropped]) metric.remove()
    // Absent, not zero, where eBPF is not used.
    for (const metric of [
      ...[this.#tornChains, this.#healthConnections, this.#healthLost],
      ...[this.#stackLost, this.#sidecarLost],
    ])
      metric.remove()
  }

  skipped(kind: 'container' | 'namespace', reason: string): void {
    this.#skipped.inc({ kind, reason })
  }

  /** @param mounts of one collection, by reason */
  unreadableMounts(mounts: ReadonlyMap<string, number>): void {
    this.#unreadableMounts.reset()
    for (const [reason, count] of mounts) this.#unreadableMounts.set({ reason }, count)
  }

  /** Chains of one eBPF pass. */
  torn(chains: number): void {
    this.#tornChains.inc(chains)
  }

  /** @param lost since the programs were attached */
  tcpHealth(connections: number, lost: number): void {
    this.#healthConnections.set(connections)
    this.#healthLost.inc(lost >= this.#lost ? lost - this.#lost : lost)
    this.#lost = lost
  }

  /** @param lost since the programs were attached */
  stack(lost: number): void {
    this.#stackLost.inc(lost >= this.#lostPackets ? lost - this.#lostPackets : lost)
    this.#lostPackets = lost
  }

  /** @param lost since the program was attached */
  sidecar(lost: number): void {
    this.#sidecarLost.inc(lost >= this.#lostConnections ? lost - this.#lostConnections : lost)
    this.#lostConnections = lost
  }

  falcon(outcome: 'pushed' | 'dropped', values: number): void {
    if (outcome === 'pushed') this.#falconPushed.inc(values)
    else this.#falconDropped.inc(values)
  }

  /** @param dropped packets that it lost */
  capture(outcome: string, dropped: number): void {
    this.#captures.inc({ outcome })
    this.#captureDropped.inc(dropped)
  }

  folded(bound: 'pod' | 'node', series: number): void {
    this.#folded.inc({ bound }, series)
  }

  /** Without a pause, so that overlapping scrapes never see half of it. */
  update({ snapshot, results }: Collection, runtimes: Runtimes, table: SharedTable): void {
    for (const { collector, durationSeconds, families } of results) {
      this.#success.set({ collector }, families === undefined ? 0 : 1)
      this.#duration.set({ collector }, durationSeconds)
    }
    if (snapshot === undefined) this.#containers.remove()
    else this.#containers.set(snapshot.containers.length)
    this.#runtimeUp.reset()
    for (const { name: runtime, version, endpoint, failure } of runtimes.statuses)
      this.#runtimeUp.set({ runtime, version, endpoint }, failure === undefined ? 1 : 0)
    const figures = table.figures
    if (figures === undefined) return
    const { source, ageSeconds, durationSeconds, rows } = figures
    for (const gauge of [this.#tableAge, this.#tableDuration, this.#tableSockets]) gauge.reset()
    this.#tableAge.set({ source }, ageSeconds)
    this.#tableDuration.set({ source }, durationSeconds)
    this.#tableSockets.set({ source }, rows)
  }
}
