/** What k8s-pod-metrics tells its users to apply, with podsonar's image in the place of its own. */
import { consulImage } from '../../lab/consul-image.ts'
import type { KubernetesObject } from '../../lab/kubectl.ts'
import { version } from '../../src/common/version.ts'

export const oldNamespace = 'old-registrar'
const account = 'k8s-consul-registrar-sa'

export interface OldOptions {
  readonly clusterName: string
  readonly shards: readonly string[]
  /** Where its agent finds Consul's servers: `host:port` of the gossip. */
  readonly join: string
  /** Settings beyond those that it had, for the proxy. */
  readonly proxy?: Readonly<Record<string, string>>
}

/** The namespace, account, role, both Deployments and the Service, under its names. */
export function oldManifests({ clusterName, shards, join, proxy = {} }: OldOptions): KubernetesObject[] {
  const settings = {
    MODE: 'registrar',
    CLUSTER_NAME: clusterName,
    CONSUL_ADDRESS: '127.0.0.1:8500',
    SYNC_PERIOD: '60',
    SHARD_PATHS: shards.join(','),
  }
  const agent = {
    name: 'consul-agent',
    image: `${consulImage.name}:${consulImage.tag}`,
    args: [
      'agent',
      '-client=0.0.0.0',
      '-data-dir=/consul',
      `-retry-join=${join}`,
      '-hcl=ports { grpc = -1 }',
    ],
  }
  const name = 'k8s-consul-registrar'
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: oldNamespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account, namespace: oldNamespace } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: `${name}-cr` },
      // Its own file lacks "watch", which its README has.
      rules: [{ apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['list', 'get'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: `${name}-crb` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: `${name}-cr` },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace: oldNamespace }],
    },
    deployment(name, [agent, container(name, settings)]),
    deployment(`${name}-svc`, [container(`${name}-svc`, { MODE: 'proxy', ...proxy })]),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `${name}-proxy-service`, namespace: oldNamespace },
      spec: {
        type: 'NodePort',
        selector: { app: `${name}-svc` },
        ports: [{ name: 'http-proxy', port: 8080, targetPort: 8080, nodePort: 31_112 }],
      },
    },
  ]
}

/** What docs/migration.md adds for the proxy: kubelets ask for it. */
export const kubeletRule: readonly KubernetesObject[] = [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'k8s-consul-registrar-kubelets' },
    rules: [{ apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] }],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'k8s-consul-registrar-kubelets' },
    roleRef: {
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'ClusterRole',
      name: 'k8s-consul-registrar-kubelets',
    },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: oldNamespace }],
  },
]

function container(name: string, settings: Readonly<Record<string, string>>): object {
  const env = Object.entries(settings).map(([key, value]) => ({ name: key, value }))
  return { name, image: `podsonar:${version}`, imagePullPolicy: 'IfNotPresent', env }
}

function deployment(name: string, containers: readonly object[]): KubernetesObject {
  const labels = { app: name }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: oldNamespace },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { serviceAccountName: account, containers } },
    },
  }
}
