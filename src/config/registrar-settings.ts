import { commonSettings, kubernetesSettings, podLabelSettings } from './common-settings.ts'
import { consulSettings } from './consul-settings.ts'
import {
  flag,
  integer,
  labelName,
  list,
  listenPort,
  matching,
  oneOf,
  port,
  text,
  type Format,
} from './format.ts'
import { optional, setting, type Values } from './setting.ts'

const placeholders = ['cluster', 'namespace', 'pod', 'workload', 'shard', 'node', 'ip'] as const

/** A text with placeholders, as {@link placeholders} or some of them. */
function template(names: readonly (typeof placeholders)[number][]): Format<string> {
  const accepts = `a text with ${names.map((name) => `{${name}}`).join(' ')} in it`
  return {
    name: 'template',
    accepts,
    parse: (value) => {
      const rest = value.replaceAll(/\{(\w+)\}/g, (whole, name: string) =>
        names.some((known) => known === name) ? '' : whole,
      )
      return /[{}\s/]/.test(rest) ? undefined : value
    },
  }
}

const namespace: Format<string> = matching('namespace', /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'a namespace')

/** Settings of MODE=registrar. */
export const registrarSettings = {
  ...commonSettings,
  ...kubernetesSettings,
  port: setting({
    env: 'PORT',
    doc: 'The port of /metrics, /healthz, /readyz, /sd/http and the page.',
    format: listenPort,
    default: 8081,
  }),
  clusterName: optional({
    env: 'CLUSTER_NAME',
    doc: 'The name of this cluster: written to every service, and the mark of ownership. No other cluster may have it.',
    defaultDoc: 'default-cluster with an agent on this machine, else an error',
    format: matching(
      'name',
      /^[^\s/?#]{1,128}$/,
      'a name of at most 128 characters without spaces and slashes',
    ),
  }),
  ...consulSettings,
  syncPeriodSeconds: setting({
    env: 'SYNC_PERIOD',
    doc: 'Seconds between full reconciliations; changes in between arrive at once.',
    format: integer(1, 86_400),
    default: 600,
    lenient: true,
  }),
  shardPaths: setting({
    env: 'SHARD_PATHS',
    doc: 'Comma-separated shard names; each service gets one of them as `shard_path`.',
    format: list(matching('shard', /^[^\s,]{1,128}$/, 'a name of at most 128 characters without spaces')),
    default: [],
    defaultDoc: 'no shards',
  }),
  shardStrategy: setting({
    env: 'SHARD_STRATEGY',
    doc: 'How a new service gets its shard: by a hash of its ID, or at random. It keeps it as long as the shard exists.',
    format: oneOf('hash', 'random'),
    default: 'hash',
  }),
  shardRebalance: setting({
    env: 'SHARD_REBALANCE',
    doc: 'Move services to the shard that the hash says, although the one they have exists.',
    format: flag,
    default: false,
  }),
  namespaces: setting({
    env: 'NAMESPACES',
    doc: 'Only pods of these namespaces, comma-separated.',
    format: list(namespace),
    default: [],
    defaultDoc: 'all',
  }),
  podSelector: optional({
    env: 'POD_SELECTOR',
    doc: 'Only pods with these labels, as in `kubectl get pods -l`.',
    defaultDoc: 'all',
    format: text,
  }),
  nodeSelector: optional({
    env: 'NODE_SELECTOR',
    doc: 'Only nodes with these labels, as in `kubectl get nodes -l`.',
    defaultDoc: 'all',
    format: text,
  }),
  podServiceName: setting({
    env: 'POD_SERVICE_NAME',
    doc: 'The Consul service name of pods. One name for many pods (`k8s-pods`) spares Consul and Prometheus a connection per pod.',
    format: template(placeholders),
    default: 'pod--{namespace}--{pod}',
  }),
  nodeServiceName: setting({
    env: 'NODE_SERVICE_NAME',
    doc: 'The Consul service name of nodes.',
    format: template(['cluster', 'shard', 'node', 'ip']),
    default: 'node--{ip}',
  }),
  ...podLabelSettings,
  nodeLabels: setting({
    env: 'NODE_LABELS',
    doc: 'Node labels that become metadata `label_…`, comma-separated.',
    format: list(labelName),
    default: [],
    defaultDoc: 'none',
  }),
  nodeProxyAddress: setting({
    env: 'NODE_PROXY_ADDRESS',
    doc: "The address under which a node's proxy is reached: its own, or that of a load balancer.",
    format: template(['cluster', 'node', 'ip']),
    default: '{ip}',
  }),
  nodeProxyPort: setting({
    env: 'NODE_PROXY_PORT',
    doc: 'The port under which the proxy is reached on each node.',
    format: port,
    default: 31_112,
  }),
  podRoute: setting({
    env: 'POD_ROUTE',
    doc: 'How Prometheus reaches pods: at their own address, or through the proxy (which then needs POD_PROXY=true).',
    format: oneOf('direct', 'proxy'),
    default: 'direct',
  }),
  peerInfo: setting({
    env: 'PEER_INFO',
    doc: 'Serve `podsonar_peer_info`: who is behind each address of pods, services and nodes, to be joined with pod_connect_info.',
    format: flag,
    default: false,
  }),
  policy: setting({
    env: 'POLICY',
    doc: 'sync: Consul becomes equal to the cluster. upsert-only: nothing is ever removed.',
    format: oneOf('sync', 'upsert-only'),
    default: 'sync',
  }),
  deregisterGuard: setting({
    env: 'DEREGISTER_GUARD',
    doc: 'What happens to removals beyond MAX_DEREGISTER_PERCENT: they wait until a list read 5 minutes later agrees, or for ever.',
    format: oneOf('delay', 'hold'),
    default: 'delay',
  }),
  maxDeregisterPercent: setting({
    env: 'MAX_DEREGISTER_PERCENT',
    doc: 'Removals of more than this share of our pods or nodes, and of more than 10, are held.',
    format: integer(0, 100),
    default: 50,
  }),
  leaderElection: optional({
    env: 'LEADER_ELECTION',
    doc: 'Only one of several replicas writes: the one that holds the Lease. The others are ready and wait.',
    format: flag,
    defaultDoc: 'true with CONSUL_BACKEND=catalog, else false',
  }),
  leaseName: setting({
    env: 'LEASE_NAME',
    doc: 'The name of that Lease, in the namespace of the service account or of the kubeconfig context.',
    format: matching('name', /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'a name as Kubernetes takes it'),
    default: 'podsonar-registrar',
  }),
  dryRun: setting({
    env: 'DRY_RUN',
    doc: 'Print what would be changed, change nothing.',
    format: flag,
    default: false,
  }),
  planFormat: setting({
    env: 'PLAN_FORMAT',
    doc: 'How DRY_RUN prints a plan: for reading, or as a line of JSON.',
    format: oneOf('text', 'json'),
    default: 'text',
  }),
  once: setting({
    env: 'ONCE',
    doc: 'Reconcile once and end: exit status 0 when all is in place, 1 when it could not be within a minute.',
    format: flag,
    default: false,
  }),
}

export type RegistrarConfig = Values<typeof registrarSettings>
