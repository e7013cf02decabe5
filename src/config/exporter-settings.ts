import { commonSettings, podLabelSettings } from './common-settings.ts'
import {
  flag,
  folder,
  integer,
  labelSelector,
  list,
  listenPort,
  matching,
  oneOf,
  powerOfTwo,
  readableFile,
  text,
  unixEndpoint,
} from './format.ts'
import { optional, setting, type Values } from './setting.ts'
import { sidecarSettings } from './sidecar-settings.ts'

/** Every collector that COLLECTORS may name. */
const collectorNames = [
  'connections',
  'tcp',
  'udp',
  'sockstat',
  'filesystem',
  'tcp_health',
  'http',
  'grpc',
  'stack',
  'sidecar',
  'advtcp',
  'network',
  'resources',
  'processes',
] as const
export type CollectorName = (typeof collectorNames)[number]

/** What RUNTIME may be. */
const runtimeChoices = ['auto', 'containerd', 'cri-o', 'cri-dockerd', 'docker'] as const
export type RuntimeChoice = (typeof runtimeChoices)[number]

/** Settings of MODE=exporter. */
export const exporterSettings = {
  ...commonSettings,
  ...podLabelSettings,
  port: setting({
    env: 'PORT',
    doc: 'The port of /metrics, /healthz, /readyz and the page.',
    format: listenPort,
    default: 28_880,
  }),
  procPath: setting({
    env: 'PROC_PATH',
    doc: "Where the host's /proc is mounted.",
    format: folder,
    default: '/proc',
  }),
  nodeName: setting({
    env: 'NODE_NAME',
    doc: 'The name of this node, for the `node` label.',
    format: text,
    default: 'unknown',
  }),
  connectionsSource: setting({
    env: 'CONNECTIONS_SOURCE',
    doc:
      'Where sockets are read: `ebpf` reads those of all pods in one pass (Linux 6.1, CAP_BPF and CAP_PERFMON), ' +
      '`procfs` reads /proc/PID/net once for each network namespace, `auto` takes eBPF where it works and says once why it does not.',
    format: oneOf('auto', 'ebpf', 'procfs'),
    default: 'auto',
  }),
  libbpfPath: optional({
    env: 'LIBBPF_PATH',
    doc: 'The file of libbpf.so.1, where the system does not find it by itself. libelf and zlib are looked for beside it.',
    format: readableFile,
  }),
  cgroupPath: setting({
    env: 'CGROUP_PATH',
    doc: "Where the host's cgroup file systems are mounted.",
    format: text,
    default: '/sys/fs/cgroup',
  }),
  runtime: setting({
    env: 'RUNTIME',
    doc: 'The container runtime of this node; `auto` takes every one that answers.',
    format: oneOf(...runtimeChoices),
    default: 'auto',
  }),
  runtimeEndpoints: optional({
    env: 'RUNTIME_ENDPOINT',
    doc: 'Comma-separated sockets of container runtimes, as unix:///run/containerd/containerd.sock.',
    format: list(unixEndpoint),
    defaultDoc: 'the usual sockets, those of k3s, k0s and microk8s included',
  }),
  collectors: setting({
    env: 'COLLECTORS',
    doc: 'Comma-separated collectors to run. The last four serve names that the kubelet already serves.',
    format: list(oneOf(...collectorNames)),
    default: ['connections', 'tcp', 'udp', 'sockstat', 'filesystem', 'tcp_health', 'http', 'grpc'],
  }),
  falconPushUrl: optional({
    env: 'FALCON_PUSH_URL',
    doc: "Where an open-falcon agent takes values, as http://127.0.0.1:1988/v1/push: each container's six socket figures go there.",
    format: matching('URL', /^https?:\/\/[^\s/]+\/\S*$/, 'an http or https URL'),
    defaultDoc: 'nothing is pushed',
  }),
  falconStepSeconds: setting({
    env: 'FALCON_STEP',
    doc: 'Seconds between the values for open-falcon.',
    format: integer(1, 3_600),
    default: 60,
  }),
  capture: setting({
    env: 'CAPTURE',
    doc: "Serve GET /api/v1/capture: the packets of one pod. It needs CAPTURE_TOKEN_FILE or CAPTURE_AUTH=kubernetes, and the rights of deploy's capture component.",
    format: flag,
    default: false,
  }),
  captureAuth: setting({
    env: 'CAPTURE_AUTH',
    doc: 'Who may capture: `token` is whoever has the token in CAPTURE_TOKEN_FILE; `kubernetes` is whoever may create pods/portforward of that pod, asked of the API server.',
    format: oneOf('token', 'kubernetes'),
    default: 'token',
  }),
  captureTokenFile: optional({
    env: 'CAPTURE_TOKEN_FILE',
    doc: 'A file with the bearer token for captures, of at least 16 characters; read again when it changes.',
    format: readableFile,
  }),
  captureMaxSeconds: setting({
    env: 'CAPTURE_MAX_SECONDS',
    doc: 'How long a capture may take at most, and takes when it names no time, in seconds.',
    format: integer(1, 86_400),
    default: 300,
  }),
  captureMaxBytes: setting({
    env: 'CAPTURE_MAX_BYTES',
    doc: 'How many bytes a capture may have at most. They go to whoever asked, nothing is kept on the node.',
    format: integer(1_024, 1_000_000_000_000),
    default: 1_073_741_824,
  }),
  captureMaxConcurrent: setting({
    env: 'CAPTURE_MAX_CONCURRENT',
    doc: 'How many captures a node makes at a time.',
    format: integer(1, 100),
    default: 4,
  }),
  captureBufferBytes: setting({
    env: 'CAPTURE_BUFFER_BYTES',
    doc: 'Kernel memory of each capture for packets that have not been read yet; with less of it bursts are dropped sooner.',
    format: integer(1_048_576, 1_073_741_824),
    default: 67_108_864,
  }),
  connectionsInboundPorts: setting({
    env: 'CONNECTIONS_INBOUND_PORTS',
    doc: "Keep the peer's ephemeral port of inbound connections in remote_port, instead of 0.",
    format: flag,
    default: false,
  }),
  connectionsMaxSeriesPerPod: setting({
    env: 'CONNECTIONS_MAX_SERIES_PER_POD',
    doc: 'The most series of pod_connect_info for one pod; the lowest are summed in remote_addr="~other".',
    format: integer(1, 1_000_000),
    default: 100,
  }),
  connectionsMaxSeries: setting({
    env: 'CONNECTIONS_MAX_SERIES',
    doc: 'The most series of pod_connect_info for this node; the lowest are summed in remote_addr="~other".',
    format: integer(1, 1_000_000),
    default: 10_000,
  }),
  tcpHealthLongSeconds: setting({
    env: 'TCP_HEALTH_LONG_SECONDS',
    doc: 'From which age on an open TCP connection counts in container_tcp_long_connections, in seconds.',
    format: integer(1, 31_536_000),
    default: 3_600,
  }),
  tcpHealthMaxConnections: setting({
    env: 'TCP_HEALTH_MAX_CONNECTIONS',
    doc:
      'How many TCP connections the collector tcp_health remembers, about 110 bytes of kernel memory each. ' +
      'Of more, the oldest lose their latency and lifetime; they are counted all the same.',
    format: integer(1_024, 4_194_304),
    default: 131_072,
  }),
  observeNamespaces: optional({
    env: 'OBSERVE_NAMESPACES',
    doc: 'Comma-separated namespaces whose pods have their HTTP requests and gRPC calls watched, their packets timed (collector stack) and their sidecars looked at (collector sidecar); `*` for all. The pod annotation `podsonar.io/observe` (`true`, `false`) goes before.',
    format: list(
      matching('namespace', /^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/, 'a namespace, or * for all'),
    ),
    defaultDoc: 'none',
  }),
  observeSelector: optional({
    env: 'OBSERVE_SELECTOR',
    doc: 'Label selector of the pods that are watched so, as `app=shop,tier in (web, api)`; with OBSERVE_NAMESPACES: among those.',
    format: labelSelector,
    defaultDoc: 'none',
  }),
  observeTls: setting({
    env: 'OBSERVE_TLS',
    doc: "Watch the requests of chosen pods within TLS too, where OpenSSL encrypts them. It needs CAP_SYS_ADMIN: deploy's component requests-tls.",
    format: flag,
    default: false,
  }),
  observeHooks: setting({
    env: 'OBSERVE_HOOKS',
    doc: 'Where requests are seen: `socket`, at tracepoints of Linux 6.3; `syscall`, at the exit of every system call of the node, which slows all of it down; auto: `socket` where the kernel has that.',
    format: oneOf('auto', 'socket', 'syscall'),
    default: 'auto',
  }),
  observeMaxSeries: setting({
    env: 'OBSERVE_MAX_SERIES',
    doc: 'The most series of requests for this node; beyond, routes, methods of gRPC and addresses become `~other`.',
    format: integer(1, 1_000_000),
    default: 2_000,
  }),
  observeMaxConnections: setting({
    env: 'OBSERVE_MAX_CONNECTIONS',
    doc: 'How many connections of watched pods are followed at a time, a few kilobytes each.',
    format: integer(16, 1_000_000),
    default: 20_000,
  }),
  otlpEndpoint: optional({
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    doc: 'Where spans of watched requests go by OTLP/HTTP, as http://jaeger-collector:4318: to its /v1/traces.',
    format: matching('URL', /^https?:\/\/[^\s/]+(\/\S*)?$/, 'an http or https URL'),
    defaultDoc: 'no spans',
  }),
  observeTracePercent: setting({
    env: 'OBSERVE_TRACE_PERCENT',
    doc: 'How many of a hundred requests that belong to no trace become spans; those of a trace follow its own sampling.',
    format: integer(0, 100),
    default: 100,
  }),
  observeCpuPercent: setting({
    env: 'OBSERVE_CPU_PERCENT',
    doc: 'How much of a processor the reading of watched requests may take, about: beyond, HTTP/1 requests are sampled.',
    format: integer(1, 100),
    default: 5,
  }),
  observeBufferMib: setting({
    env: 'OBSERVE_BUFFER_MIB',
    doc: 'Size of the buffer between kernel and exporter for watched requests, in MiB; half full, HTTP/1 requests are sampled.',
    format: powerOfTwo(1, 256),
    default: 16,
  }),
  ...sidecarSettings,
  sockops: setting({
    env: 'SOCKOPS',
    doc: 'Hand bytes from socket to socket, past TCP and IP, within pods annotated `podsonar.io/sockops: "true"` and between two of them on one node. It alters traffic: read docs/sockops.md before.',
    format: flag,
    default: false,
  }),
  sockopsObserveSeconds: setting({
    env: 'SOCKOPS_OBSERVE_SECONDS',
    doc: 'For how long a container is watched for calls that such sockets answer wrongly, before its new connections are short-cut.',
    format: integer(0, 86_400),
    default: 60,
  }),
  sockopsMaxConnections: setting({
    env: 'SOCKOPS_MAX_CONNECTIONS',
    doc: 'How many ends of connections may be short-cut at a time on this node; others take the normal way.',
    format: integer(16, 1_000_000),
    default: 32_768,
  }),
}

export type ExporterConfig = Values<typeof exporterSettings>

/** What is wrong together. */
export function exporterConflicts(config: ExporterConfig): string[] {
  if (!config.capture || config.captureAuth !== 'token' || config.captureTokenFile !== undefined) return []
  return [
    'CAPTURE: expected CAPTURE_TOKEN_FILE too, or CAPTURE_AUTH=kubernetes: without one of them everybody could capture',
  ]
}
