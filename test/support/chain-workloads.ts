/** Pods of every kind for a real cluster, all from podsonar's own image, which has Node.js in it. */
import type { KubernetesObject } from '../../lab/kubectl.ts'
import { version } from '../../src/common/version.ts'

export const chainNamespace = 'podsonar-chain'
/** Where the pod on its node's network listens. */
const hostPort = 18_099

const serve = (port: number): string =>
  `require('node:http').createServer((q, s) => { console.log(q.url); s.end('chain_self{self="' + process.env.HOSTNAME + '"} 1\\n') }).listen(${port}); process.on('SIGTERM', () => process.exit(0))`
/** Three connections to the Service `db`, held. */
const hold = `for (let i = 0; i < 3; i++) require('node:net').connect(8080, process.env.DB_SERVICE_HOST).on('error', (e) => { console.error(e); process.exit(1) }); setInterval(() => {}, 1000); process.on('SIGTERM', () => process.exit(0))`

interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly script: string
  readonly container?: Readonly<Record<string, unknown>>
  readonly spec?: Readonly<Record<string, unknown>>
}

function template({ labels = {}, annotations = {}, script, container = {}, spec = {} }: PodOptions) {
  return {
    metadata: { labels, annotations },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 5,
      ...spec,
      containers: [
        {
          name: 'main',
          image: `podsonar:${version}`,
          imagePullPolicy: 'IfNotPresent',
          command: ['/usr/bin/node', '-e', script],
          ...container,
        },
      ],
    },
  }
}

const scrape = (port?: number): Record<string, string> => ({
  'prometheus.io/scrape': 'true',
  ...(port === undefined ? {} : { 'prometheus.io/port': String(port) }),
})
const named = { ports: [{ name: 'metrics', containerPort: 8080 }] }

function controller(kind: string, name: string, pod: PodOptions, more: object = {}): KubernetesObject {
  const labels = { app: name }
  const spec = { selector: { matchLabels: labels }, template: template({ ...pod, labels }), ...more }
  return { apiVersion: 'apps/v1', kind, metadata: { name, namespace: chainNamespace }, spec }
}

function pod(name: string, options: PodOptions): KubernetesObject {
  const { spec, metadata } = template(options)
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: chainNamespace, annotations: metadata.annotations },
    spec,
  }
}

/** Everything, in the order in which it is to be applied. */
export const chainWorkloads: readonly KubernetesObject[] = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: chainNamespace } },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'db', namespace: chainNamespace },
    spec: { selector: { app: 'db' }, ports: [{ port: 8080 }] },
  },
  controller('Deployment', 'web', { script: serve(8080), annotations: scrape(8080) }, { replicas: 2 }),
  controller('StatefulSet', 'db', { script: serve(8080), annotations: scrape(8080) }, { serviceName: 'db' }),
  controller('DaemonSet', 'agent', { script: serve(8080), annotations: scrape(), container: named }),
  pod('on-host', {
    script: serve(hostPort),
    annotations: scrape(hostPort),
    spec: { hostNetwork: true },
  }),
  pod('unready', {
    script: serve(8080),
    annotations: scrape(8080),
    container: { readinessProbe: { tcpSocket: { port: 1 }, periodSeconds: 1 } },
  }),
  // Not to be found by Prometheus: not annotated, and finished.
  pod('client', { script: hold }),
  {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'done', namespace: chainNamespace },
    spec: { template: template({ script: '', annotations: scrape(8080), spec: { restartPolicy: 'Never' } }) },
  },
]
