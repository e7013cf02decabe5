import { expect, it } from 'vitest'
import { CriReplay } from '../../../lab/cri-replay.ts'
import { SocketHolder } from '../../../lab/network-namespace.ts'
import { datagram, sendDatagrams } from '../../../lab/traffic.ts'
import { describeWith } from '../../setup/needs.ts'
import { CapturingExporter } from '../../support/capture.ts'

const labels = {
  'io.kubernetes.pod.name': 'web',
  'io.kubernetes.pod.namespace': 'lab',
  'io.kubernetes.pod.uid': 'uid-web',
}
const sandbox = {
  ...{ id: 'sandbox-1', state: 'SANDBOX_READY', labels, annotations: {} },
  metadata: { name: 'web', uid: 'uid-web', namespace: 'lab' },
}
const containers = ['main', 'helper'].map((name) => ({
  ...{ id: `container-${name}`, podSandboxId: 'sandbox-1', metadata: { name } },
  ...{ image: { image: 'quay.io/app:1' }, imageRef: 'sha256:1', state: 'CONTAINER_RUNNING' },
  labels: { ...labels, 'io.kubernetes.container.name': name },
}))

describeWith(['root', 'tcpdump', 'tshark'], 'captures of pods on CRI-O, as it documents its answers', () => {
  it('find the network of a pod without a pause process by any of its containers that runs', async () => {
    await using held = await SocketHolder.states()
    // The first one has a process id that is not in use: it has ended since it was listed.
    const pids: Record<string, number> = { 'container-main': 4_194_303, 'container-helper': held.process.pid }
    await using crio = await CriReplay.start({
      Version: { runtimeName: 'cri-o', runtimeVersion: '1.30.4', runtimeApiVersion: 'v1' },
      ListPodSandbox: { items: [sandbox] },
      ListContainers: { containers },
      PodSandboxStatus: () => ({
        status: { id: 'sandbox-1', linux: { namespaces: { options: { network: 'POD' } } } },
        info: { info: JSON.stringify({ image: 'registry.k8s.io/pause:3.9', runtimeSpec: {} }) },
      }),
      ContainerStatus: ({ containerId }) => {
        const pid = pids[String(containerId)]
        if (pid === undefined) return undefined
        return {
          status: { id: containerId },
          info: { info: JSON.stringify({ sandboxID: 'sandbox-1', pid }) },
        }
      },
    })
    await using exporter = await CapturingExporter.start(crio.socket)

    const capture = await exporter.ask({ namespace: 'lab', pod: 'web', filter: 'udp dst port 9999' })
    expect(capture.status).toBe(200)
    await sendDatagrams(held.process.pid, { host: '127.0.0.1', port: 9_999, size: 40, count: 10 })
    await capture.has(10)
    expect(await capture.read(['ip.dst', 'udp.payload'])).toEqual(
      Array.from({ length: 10 }, (_, number) => ({
        ...{ 'ip.dst': '127.0.0.1', 'udp.payload': datagram(40, number) },
      })),
    )
    await held[Symbol.asyncDispose]()
    expect(await capture.end()).toBe('pod_gone')
  })
})
