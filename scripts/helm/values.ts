/**
 * The chart's values, described once: values.yaml, values.schema.json and the table of its README are written from here.
 * Defaults come from the kustomize base.
 */
import { schema, type Mode } from '../../src/config/schema.ts'
import type { Settings } from '../../src/config/setting.ts'
import { container, environmentFile, nodePort, workload } from './manifests.ts'

/** JSON Schema (draft 7), as far as the chart needs it. */
export interface ValueSchema {
  readonly description?: string
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean' | readonly string[]
  readonly default?: unknown
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly maxLength?: number
  readonly items?: ValueSchema
  readonly properties?: Readonly<Record<string, ValueSchema>>
  readonly additionalProperties?: boolean
  readonly allOf?: readonly unknown[]
}

/** A group of values: nothing else is accepted in it. */
function group(
  description: string,
  properties: Readonly<Record<string, ValueSchema>>,
  more: ValueSchema = {},
): ValueSchema {
  return { description, type: 'object', additionalProperties: false, properties, ...more }
}

const text = (description: string, value = '', more: ValueSchema = {}): ValueSchema => ({
  ...{ description, type: 'string', default: value },
  ...more,
})
const flag = (description: string, value: boolean): ValueSchema => ({
  ...{ description, type: 'boolean', default: value },
})
const whole = (description: string, value: number, minimum: number, maximum: number): ValueSchema => ({
  ...{ description, type: 'integer', default: value, minimum, maximum },
})
/** Handed on to Kubernetes as it is. */
const objects = (description: string, value: readonly unknown[] = []): ValueSchema => ({
  ...{ description, type: 'array', default: value, items: { type: 'object' } },
})
const object = (description: string, value: object = {}): ValueSchema => ({
  ...{ description, type: 'object', default: value },
})

const name = { pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 }
/** What the templates set by themselves, from other values. */
const derived: Readonly<Record<Mode, readonly string[]>> = {
  registrar: ['CLUSTER_NAME', 'CONSUL_ADDRESS', 'CONSUL_BACKEND', 'PEER_INFO', 'POD_ROUTE'],
  proxy: ['POD_PROXY'],
  exporter: ['NODE_NAME', 'PROC_PATH', 'CGROUP_PATH', 'CAPTURE', 'CAPTURE_AUTH'],
}

/** The settings of a mode as values: a name that it does not know is an error at once, and no secret is accepted. */
function settings(mode: Mode, value: Readonly<Record<string, string>>): ValueSchema {
  const known = Object.values(schema[mode] as Settings)
    .filter(({ env, sensitive }) => sensitive !== true && !derived[mode].includes(env))
    .map(({ env, doc }) => [env, { description: doc, type: ['string', 'number', 'boolean'] }] as const)
  const secret = mode === 'registrar' ? ' Secrets go into `env`.' : ''
  return {
    ...group(
      `Settings, each by its variable: docs/configuration.md has them all.${secret}`,
      Object.fromEntries(known),
    ),
    default: value,
  }
}

function ofMode(mode: Mode, from: string, more: Readonly<Record<string, ValueSchema>>): ValueSchema {
  const { spec } = workload(`base/${mode}/${from}.yaml`)
  const pod = spec.template.spec
  const { CONSUL_BACKEND: _, ...variables } = environmentFile(`base/${mode}/${mode}.env`)
  return group(`The ${mode}.`, {
    enabled: flag('Whether it is installed.', true),
    ...more,
    settings: settings(mode, variables),
    env: objects("Further entries of its container's `env`, such as one from a Secret."),
    resources: object('Its requests and limits.', container(workload(`base/${mode}/${from}.yaml`)).resources),
    nodeSelector: object('On which nodes it runs.', pod.nodeSelector),
    tolerations: objects('Which taints it stands.', pod.tolerations),
    affinity: object('Its affinity.'),
    priorityClassName: text('Its priority class.'),
    podAnnotations: object('Further annotations of its pods.'),
    volumes: objects('Further volumes of its pods, for certificates or the file of WEB_CONFIG_FILE.'),
    volumeMounts: objects('Where they are mounted.'),
    egress: objects('Further `egress` rules of its NetworkPolicy, such as an API server at an unusual port.'),
  })
}

const replicas = (mode: 'registrar' | 'proxy', description: string, maximum: number): ValueSchema =>
  whole(description, workload(`base/${mode}/deployment.yaml`).spec.replicas ?? 1, 1, maximum)
const agent = container(workload('overlays/agent-sidecar/consul-agent.yaml'))

/** All values. */
export const values: ValueSchema = group('Values of the chart podsonar.', {
  clusterName: text(
    'CLUSTER_NAME: the name of this cluster in Consul, which no other cluster there may have. Give it: it has no default that would be right.',
    '',
    { pattern: String.raw`^[^\s/]*$`, maxLength: 128 },
  ),
  consul: group(
    'The way into Consul.',
    {
      mode: text(
        "What stands between the registrar and Consul's servers. `catalog`: nothing. `agent-sidecar`: a Consul client agent in each registrar pod, for servers that are reached by gossip alone. `agent`: such an agent that carries the services itself, as k8s-pod-metrics did; one replica.",
        'catalog',
        { enum: ['catalog', 'agent-sidecar', 'agent'] },
      ),
      address: text(
        "CONSUL_ADDRESS with mode `catalog`: `host:port` or URL of Consul's HTTP API. With an agent beside the registrar it must be empty.",
      ),
      agent: group('The Consul agent beside the registrar.', {
        image: text('Its image. Not newer than your Consul servers.', agent.image),
        config: object('Its configuration: `datacenter`, `retry_join` and what else it needs to join.'),
        resources: object('Its requests and limits.', agent.resources),
      }),
    },
    {
      allOf: [
        {
          if: { properties: { mode: { enum: ['agent-sidecar', 'agent'] } } },
          then: { properties: { address: { type: 'string', maxLength: 0 } } },
        },
      ],
    },
  ),
  image: group('The image of podsonar.', {
    repository: text('Its repository.', 'podsonar'),
    tag: text('Its tag; empty: the version of the chart.'),
    pullPolicy: text('When it is pulled; empty: as Kubernetes does it.', '', {
      enum: ['', 'Always', 'IfNotPresent', 'Never'],
    }),
    pullSecrets: objects('Secrets for its registry, each `{name: …}`.'),
  }),
  namespaces: group('The two namespaces: the exporter needs what the other two must not have.', {
    create: flag(
      'Whether the chart makes them; the one of the release itself is never made by the chart.',
      true,
    ),
    control: text('The namespace of registrar and proxy.', 'podsonar', name),
    exporter: text('The namespace of the exporter.', 'podsonar-exporter', name),
  }),
  networkPolicies: group('NetworkPolicies, one for each mode.', {
    enabled: flag('Whether there are any.', true),
  }),
  podProxy: group('For a Prometheus that has no route to pods.', {
    enabled: flag(
      'Register pods at the proxy (POD_ROUTE=proxy), which serves their metrics (POD_PROXY).',
      false,
    ),
  }),
  peerInfo: group('Names for peers.', {
    enabled: flag('PEER_INFO, and the right to list services, which nothing else needs.', false),
  }),
  capture: group("Captures of pods' packets (docs/capture.md).", {
    enabled: flag('CAPTURE, with the capabilities and rights that it needs.', false),
  }),
  requestsTls: group('Requests of chosen pods within TLS (docs/requests.md).', {
    enabled: flag('OBSERVE_TLS, with the capability that it needs.', false),
  }),
  sockops: group(
    'Connections of chosen pods handed from socket to socket (docs/sockops.md, to be read before).',
    {
      enabled: flag('SOCKOPS, with the capabilities that it needs.', false),
    },
  ),
  microk8s: group('For nodes of microk8s.', {
    enabled: flag('Mount the folder where its containerd listens. Other nodes do not have it.', false),
  }),
  global: object('What a chart that contains this one shares among its parts: accepted, not used.'),
  registrar: ofMode('registrar', 'deployment', {
    replicas: replicas(
      'registrar',
      'One leads, the others stand by. Always one with `consul.mode: agent`.',
      3,
    ),
  }),
  proxy: ofMode('proxy', 'deployment', {
    replicas: replicas('proxy', 'How many share the scrapes.', 100),
    nodePort: whole(
      'The port of every node at which Prometheus scrapes; the registrar is told.',
      nodePort('base/proxy/service.yaml'),
      1,
      65_535,
    ),
  }),
  exporter: ofMode('exporter', 'daemonset', {
    maxUnavailable: {
      description: 'How many nodes may lack it while it is updated: a number or a share.',
      type: ['string', 'integer'],
      default: workload('base/exporter/daemonset.yaml').spec.updateStrategy?.rollingUpdate?.maxUnavailable,
    },
    podSecurityContext: object(
      "Further fields of its pods' security context, such as `appArmorProfile` or `seLinuxOptions`.",
    ),
  }),
})

/** The default of a value and of all below it. */
export function defaultOf(value: ValueSchema): unknown {
  if (value.default !== undefined) return value.default
  return Object.fromEntries(Object.entries(value.properties ?? {}).map(([key, one]) => [key, defaultOf(one)]))
}
