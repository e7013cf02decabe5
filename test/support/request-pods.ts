/** Pods that are watched and speak HTTP and gRPC with each other all the time, with failures among it. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Containerd, LabPod } from '../../lab/containerd.ts'
import { unpacked } from '../../lab/needs.ts'

const server = fileURLToPath(new URL('node-http-server.ts', import.meta.url))
const annotations = { 'podsonar.io/observe': 'true' }

/** Starts a pod with an HTTP server and an etcd, and one that asks both. */
export async function runRequestPods(containerd: Containerd, namespace = 'shop'): Promise<readonly LabPod[]> {
  const bin = join(await unpacked('etcd'), 'usr/bin')
  const etcd = ['/etcd', '--data-dir', '/data', '--logger', 'zap', '--log-outputs', 'stderr']
  const urls = [
    '--listen-client-urls',
    'http://0.0.0.0:2379',
    '--advertise-client-urls',
    'http://127.0.0.1:2379',
  ]
  const serving = await containerd.runPod({
    ...{ name: 'web-0', namespace, annotations },
    containers: [
      {
        name: 'web',
        command: ['/node', '/server.ts', '0.0.0.0', '8080'],
        mounts: { '/usr': '/usr', '/node': process.execPath, '/server.ts': server },
      },
      { name: 'etcd', command: [...etcd, ...urls], mounts: { '/usr': '/usr', '/etcd': join(bin, 'etcd') } },
    ],
  })
  const web = `http://${serving.ip}:8080`
  const asks = ['/items/1', '/chunked', '/fail'].map((path) => `wget -q -O /dev/null ${web}${path}`)
  const post = `wget -q -O /dev/null --post-data=hello ${web}/orders`
  const etcdctl = `ETCDCTL_API=3 /etcdctl --endpoints=http://${serving.ip}:2379`
  const calling = await containerd.runPod({
    ...{ name: 'caller-0', namespace, annotations },
    containers: [
      {
        name: 'http',
        command: ['sh', '-c', `while :; do ${[...asks, post].join('; ')}; nc ${serving.ip} 9; sleep 1; done`],
      },
      {
        name: 'grpc',
        command: ['sh', '-c', `while :; do ${etcdctl} put key value; ${etcdctl} get key; sleep 1; done`],
        mounts: { '/usr': '/usr', '/etcdctl': join(bin, 'etcdctl') },
      },
    ],
  })
  return [serving, calling]
}
