/** For every alert: series that must raise it, series that come near and must not, and what people then read. */

/** Series in promtool's notation, a sample a minute. */
type Series = Readonly<Record<string, string>>

export interface AlertCase {
  readonly firing: Series
  /** Another way to raise it, with the same words. */
  readonly alsoFiring?: Series
  readonly calm: Series
  /** How long the series stand before the alert is looked at. */
  readonly after: string
  readonly labels: Readonly<Record<string, string>>
  readonly summary: string
  readonly description: string
}

const pod = 'cluster="c1",namespace="shop",pod="cart-1"'
const peer = 'cluster="c1",node="n1",pod_namespace="shop",pod_name="cart-1",container="app"'
const ofPod = { cluster: 'c1', namespace: 'shop', pod: 'cart-1' }
const exporter = { cluster: 'c1', job: 'podsonar-exporter', instance: '10.0.0.7:28880' }
const ofExporter = 'cluster="c1",job="podsonar-exporter",instance="10.0.0.7:28880"'

export const alertCases: Readonly<Record<string, AlertCase>> = {
  PodCloseWaitPileUp: {
    firing: {
      [`pod_connect_info{${peer},status="CLOSE_WAIT",remote_addr="10.1.1.1"}`]: '60x30',
      [`pod_connect_info{${peer},status="CLOSE_WAIT",remote_addr="10.1.1.2"}`]: '60x30',
    },
    calm: {
      [`pod_connect_info{${peer},status="CLOSE_WAIT",remote_addr="10.1.1.1"}`]: '60x30',
      [`pod_connect_info{${peer},status="ESTABLISHED",remote_addr="10.1.1.1"}`]: '6000x30',
    },
    after: '20m',
    labels: {
      ...{ severity: 'warning', status: 'CLOSE_WAIT', cluster: 'c1', node: 'n1' },
      ...{ pod_namespace: 'shop', pod_name: 'cart-1' },
    },
    summary: 'shop/cart-1 leaves connections in CLOSE_WAIT',
    description: '120 connections were closed by the peer and not by the pod, on n1 of c1.',
  },
  PodTimeWaitExhaustion: {
    firing: { [`pod_connect_info{${peer},status="TIME_WAIT",remote_addr="10.1.1.1"}`]: '25000x30' },
    calm: { [`pod_connect_info{${peer},status="TIME_WAIT",remote_addr="10.1.1.1"}`]: '9000x30' },
    after: '20m',
    labels: {
      ...{ severity: 'warning', status: 'TIME_WAIT', cluster: 'c1', node: 'n1' },
      ...{ pod_namespace: 'shop', pod_name: 'cart-1' },
    },
    summary: 'shop/cart-1 is running out of local ports',
    description: '25000 sockets in TIME_WAIT, on n1 of c1: soon no new connection can be opened.',
  },
  NodeOrphanedSockets: {
    firing: { [`container_sockstat_orphan{${ofExporter},${pod.slice(13)}}`]: '5000x30' },
    calm: { [`container_sockstat_orphan{${ofExporter},${pod.slice(13)}}`]: '500x30' },
    after: '20m',
    labels: { severity: 'warning', cluster: 'c1', instance: '10.0.0.7:28880' },
    summary: 'Sockets without a process pile up on the node of 10.0.0.7:28880',
    description: '5000 orphaned sockets in c1; beyond net.ipv4.tcp_max_orphans the kernel resets them.',
  },
  PodConnectFailures: {
    firing: {
      [`container_tcp_connections_opened_total{${pod},container="app",direction="outbound"}`]: '0+120x30',
      [`container_tcp_connect_failures_total{${pod},container="app",reason="refused"}`]: '0+60x30',
    },
    calm: {
      [`container_tcp_connections_opened_total{${pod},container="app",direction="outbound"}`]: '0+1200x30',
      [`container_tcp_connect_failures_total{${pod},container="app",reason="refused"}`]: '0+60x30',
      [`container_tcp_connect_failures_total{${pod},container="app",reason="local"}`]: '0+600x30',
    },
    after: '25m',
    labels: { severity: 'warning', ...ofPod },
    summary: 'shop/cart-1 cannot reach what it connects to',
    description: '1 connects a second fail, over a tenth of all, in c1.',
  },
  PodRetransmits: {
    firing: {
      [`container_tcp_retransmits_total{${pod},container="app"}`]: '0+600x40',
      [`container_tcp_sent_bytes_total{${pod},container="app"}`]: '0+7819200x40',
    },
    calm: {
      [`container_tcp_retransmits_total{${pod},container="app"}`]: '0+600x40',
      [`container_tcp_sent_bytes_total{${pod},container="app"}`]: '0+78192000x40',
    },
    after: '35m',
    labels: { severity: 'warning', ...ofPod },
    summary: 'shop/cart-1 has to send much again',
    description: '10% of the segments are sent again, in c1: packets are lost or late.',
  },
  TargetsMissingFromDiscovery: {
    firing: {
      'podsonar_registrar_desired_services{cluster="c1",instance="r1",kind="node"}': '3x40',
      'podsonar_registrar_desired_services{cluster="c1",instance="r2",kind="node"}': '3x40',
      'up{cluster="c1",job="kubernetes-nodes-cadvisor",instance="10.0.0.1"}': '1x40',
    },
    calm: {
      'podsonar_registrar_desired_services{cluster="c1",instance="r1",kind="node"}': '2x40',
      'podsonar_registrar_desired_services{cluster="c1",instance="r1",kind="pod"}': '2x40',
      'up{cluster="c1",job="kubernetes-nodes-cadvisor",instance="10.0.0.1"}': '1x40',
      'up{cluster="c1",job="kubernetes-nodes-cadvisor",instance="10.0.0.2"}': '0x40',
      'up{cluster="c1",job="kubernetes-pods",instance="10.1.0.2:80"}': '1x40',
      'up{cluster="c1",job="podsonar-exporter",instance="10.0.0.2:28880"}': '1x40',
    },
    after: '30m',
    labels: { severity: 'critical', cluster: 'c1', kind: 'node' },
    summary: '2 targets (node) of c1 are not scraped',
    description: 'The registrar wants them in Consul, this Prometheus did not find them there.',
  },
  NodeTargetDown: {
    firing: { 'up{cluster="c1",job="kubernetes-nodes-cadvisor",node="n1",instance="10.0.0.1"}': '0x30' },
    calm: { 'up{cluster="c1",job="kubernetes-nodes-cadvisor",node="n1",instance="10.0.0.1"}': '0 0 0 1x27' },
    after: '20m',
    labels: {
      ...{ severity: 'warning', cluster: 'c1', node: 'n1', instance: '10.0.0.1' },
      job: 'kubernetes-nodes-cadvisor',
    },
    summary: 'cAdvisor of n1 in c1 cannot be scraped',
    description: 'The proxy, the kubelet or the way to them fails; /targets has the answer that came.',
  },
  RegistrarNotSyncing: {
    firing: {
      'podsonar_registrar_last_success_timestamp_seconds{cluster="c1",instance="r1"}': '0x60',
      'podsonar_registrar_last_success_timestamp_seconds{cluster="c1",instance="r2"}': '60x60',
    },
    // gone since the second minute
    alsoFiring: {
      'podsonar_registrar_last_success_timestamp_seconds{cluster="c1",instance="r1"}': '60 60 stale',
    },
    calm: {
      'podsonar_registrar_last_success_timestamp_seconds{cluster="c1",instance="r1"}': '0x60',
      'podsonar_registrar_last_success_timestamp_seconds{cluster="c1",instance="r2"}': '0+60x60',
    },
    after: '41m',
    labels: { severity: 'critical', cluster: 'c1' },
    summary: 'Consul is no longer kept equal to c1',
    description: 'The last full reconciliation succeeded 40m 0s ago.',
  },
  RegistrarWithoutLeader: {
    firing: {
      'podsonar_registrar_leader{cluster="c1",instance="r1"}': '0x30',
      'podsonar_registrar_leader{cluster="c1",instance="r2"}': '0x30',
    },
    calm: {
      'podsonar_registrar_leader{cluster="c1",instance="r1"}': '1 1 1 0x30',
      'podsonar_registrar_leader{cluster="c1",instance="r2"}': '0 0 0 0 1x30',
    },
    after: '20m',
    labels: { severity: 'critical', cluster: 'c1' },
    summary: 'No registrar of c1 leads',
    description: 'Replicas run, but none holds the lease: nothing is written to Consul.',
  },
  RegistrarRemovalsHeld: {
    firing: { 'podsonar_registrar_held_removals{cluster="c1",instance="r1",kind="pod"}': '40x30' },
    calm: { 'podsonar_registrar_held_removals{cluster="c1",instance="r1",kind="pod"}': '40x6 0x24' },
    after: '20m',
    labels: { severity: 'warning', cluster: 'c1', kind: 'pod' },
    summary: '40 removals (pod) of c1 are held',
    description:
      'A plan would have removed more than MAX_DEREGISTER_PERCENT at once: the registrar waits until it is beyond doubt.',
  },
  RegistrarServicesRefused: {
    firing: { 'podsonar_registrar_refused_services{cluster="c1",instance="r1"}': '2x30' },
    calm: { 'podsonar_registrar_refused_services{cluster="c1",instance="r1"}': '0x30' },
    after: '25m',
    labels: { severity: 'warning', cluster: 'c1' },
    summary: 'Consul refuses 2 services of c1',
    description: 'The registrar names them, and why, on its page and in its log.',
  },
  ProxyRefusals: {
    firing: { 'podsonar_proxy_refusals_total{cluster="c1",instance="p1",code="busy"}': '0+60x40' },
    calm: {
      'podsonar_proxy_refusals_total{cluster="c1",instance="p1",code="busy"}': '0+1x40',
      'podsonar_proxy_refusals_total{cluster="c1",instance="p1",code="upstream_tls"}': '0+60x40',
    },
    after: '35m',
    labels: { severity: 'warning', cluster: 'c1', code: 'busy' },
    summary: 'The proxy of c1 refuses scrapes: busy',
    description: '1 scrapes a second end with busy.',
  },
  ProxyUpstreamTlsFailures: {
    firing: { 'podsonar_proxy_refusals_total{cluster="c1",instance="p1",code="upstream_tls"}': '0+6x40' },
    calm: {
      'podsonar_proxy_refusals_total{cluster="c1",instance="p1",code="upstream_tls"}': '6x40',
      'podsonar_proxy_refusals_total{cluster="c1",instance="p1",code="busy"}': '0+60x40',
    },
    after: '30m',
    labels: { severity: 'critical', cluster: 'c1' },
    summary: 'The proxy of c1 cannot verify kubelets',
    description: '100m scrapes a second end because a certificate of a kubelet is not trusted.',
  },
  ExporterFallsBackToProc: {
    firing: { [`podsonar_socket_table_age_seconds{${ofExporter},source="procfs"}`]: '0x40' },
    calm: { [`podsonar_socket_table_age_seconds{${ofExporter},source="ebpf"}`]: '0x40' },
    after: '30m',
    labels: { severity: 'info', ...exporter, source: 'procfs' },
    summary: 'The exporter 10.0.0.7:28880 of c1 reads sockets from /proc',
    description:
      'Without eBPF sockets cost much more to read, are older, and tcp_health is missing. Its log says why.',
  },
  ExporterCollectorFails: {
    firing: { [`podsonar_collector_success{${ofExporter},collector="udp"}`]: '0x30' },
    calm: { [`podsonar_collector_success{${ofExporter},collector="udp"}`]: '0 0 1x28' },
    after: '20m',
    labels: { severity: 'warning', ...exporter, collector: 'udp' },
    summary: 'The collector udp fails on 10.0.0.7:28880 of c1',
    description: 'Its series are absent meanwhile, not zero. The log of the exporter says why.',
  },
  ExporterRuntimeDown: {
    firing: { [`podsonar_runtime_up{${ofExporter},runtime="containerd"}`]: '0x30' },
    calm: { [`podsonar_runtime_up{${ofExporter},runtime="containerd"}`]: '1x30' },
    after: '20m',
    labels: { severity: 'warning', ...exporter, runtime: 'containerd' },
    summary: 'The containerd of 10.0.0.7:28880 in c1 does not answer the exporter',
    description: 'Containers that began since then are not seen.',
  },
}
