import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { CriReplay } from '../../../lab/cri-replay.ts'
import { Process } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'

const listen = (port: number): string[] => ['nc', '-ll', '-p', String(port), '-e', 'cat']

/** LISTEN series of pods: `pod/container port`. */
function listening(samples: readonly MetricSample[]): string[] {
  const key = ({ status, pod_name, container, remote_port }: Readonly<Record<string, string>>) =>
    status === 'LISTEN' && pod_name !== '' && pod_name !== undefined
      ? `${pod_name}/${container ?? ''} ${remote_port ?? ''}`
      : undefined
  return Object.keys(valuesBy(samples, 'pod_connect_info', key)).sort()
}

function failed(samples: readonly MetricSample[]): string[] {
  const success = valuesBy(samples, 'podsonar_collector_success', ({ collector }) => collector)
  return Object.keys(success).filter((name) => success[name] !== 1)
}

describeWith(['root', 'containerd'], 'the exporter on pods of every kind', () => {
  it('follows init containers, sidecars and static pods, and tells apart who shares processes', async () => {
    await using containerd = await Containerd.start()
    const namespace = 'lab'
    const starting = await containerd.runPod({
      ...{ name: 'shop', namespace },
      containers: [{ name: 'migrate', command: listen(8001) }],
    })
    await containerd.runPod({
      ...{ name: 'etcd-node-1', namespace: 'kube-system', uid: 'f1c1eb8aa1d1f3c6e3d9c2b0a4958677' },
      annotations: { 'kubernetes.io/config.source': 'file' },
      command: listen(2379),
    })
    await containerd.runPod({
      ...{ name: 'shared', namespace, sharePid: true },
      containers: [
        { name: 'web', command: ['sh', '-c', 'sleep 1000 & sleep 1000 & exec sleep 1000'] },
        { name: 'log', command: listen(8004) },
      ],
    })
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: containerd.socket,
      COLLECTORS: 'connections,sockstat,processes',
      CONNECTIONS_SOURCE: 'procfs',
    })
    const url = await exporter.url()
    const becomes = (expected: readonly string[]): Promise<readonly MetricSample[]> =>
      waitFor(expected.join(', '), async () => {
        const samples = await scrape(url)
        expect(listening(samples)).toEqual(expected)
        expect(failed(samples)).toEqual([])
        return samples
      })
    // While only its init container runs, the pod's sockets are that one's; of two, /proc cannot tell.
    const samples = await becomes(['etcd-node-1/main 2379', 'shared/ 8004', 'shop/migrate 8001'])
    const processes = valuesBy(samples, 'container_processes', ({ pod, container }) =>
      pod === 'shared' ? container : undefined,
    )
    expect(processes).toEqual({ web: 3, log: 1 })
    const ids = valuesBy(samples, 'container_sockstat_total', ({ pod, id }) => pod && id)
    expect(Object.keys(ids).filter((id) => id.endsWith('/podf1c1eb8aa1d1f3c6e3d9c2b0a4958677'))).toHaveLength(
      1,
    )

    const [init] = starting.containers
    if (init === undefined) throw new Error('no init container')
    await containerd.removeContainer(init)
    await becomes(['etcd-node-1/main 2379', 'shared/ 8004'])
    await containerd.addContainer(starting, { name: 'proxy', command: listen(8002) })
    await becomes(['etcd-node-1/main 2379', 'shared/ 8004', 'shop/proxy 8002'])
    await containerd.addContainer(starting, { name: 'main', command: listen(8003) })
    await becomes(['etcd-node-1/main 2379', 'shared/ 8004', 'shop/ 8002', 'shop/ 8003'])
  })
})

describeWith(['root'], 'the exporter on a pod with a user namespace of its own', () => {
  it('reads its sockets, mounts, traffic and processes', async () => {
    const holdUdp = 'exec 3<>/dev/udp/127.0.0.1/9; exec sleep 1000'
    await using held = await Process.start('container', 'unshare', [
      ...['--user', '--map-root-user', '--net', '--mount'],
      ...['bash', '-c', `ip link set lo up; ${holdUdp}`],
    ])
    const labels = {
      'io.kubernetes.pod.name': 'walled',
      'io.kubernetes.pod.namespace': 'lab',
      'io.kubernetes.pod.uid': 'u',
    }
    await using runtime = await CriReplay.start({
      Version: { runtimeName: 'containerd', runtimeVersion: '2.0.0', runtimeApiVersion: 'v1' },
      ListPodSandbox: { items: [] },
      ListContainers: {
        containers: [{ id: 'c', podSandboxId: 's', metadata: { name: 'main' }, labels, imageRef: 'i' }],
      },
      ContainerStatus: { info: { info: JSON.stringify({ pid: held.pid }) } },
    })
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: runtime.socket,
      COLLECTORS: 'udp,sockstat,filesystem,network,resources,processes',
      CONNECTIONS_SOURCE: 'procfs',
    })
    const url = await exporter.url()
    await waitFor('its UDP socket to be seen', async () => {
      const samples = await scrape(url)
      expect(failed(samples)).toEqual([])
      const ofPod = (name: string, label: string): Record<string, number> =>
        valuesBy(samples, name, (one) => (one['pod'] === 'walled' ? (one[label] ?? '') : undefined))
      expect(ofPod('container_network_udp_usage_total', 'udp_state')).toMatchObject({ listen: 1 })
      expect(ofPod('container_sockstat_udp', 'pod')).toEqual({ walled: 1 })
      expect(Object.keys(ofPod('container_filesystem_size_bytes', 'mountpoint'))).toContain('/')
      expect(valuesBy(samples, 'podsonar_containers', () => 'all')).toEqual({ all: 1 })
      return true
    })
  })
})
