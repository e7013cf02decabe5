import { expect, it } from 'vitest'
import { Docker } from '../../../lab/docker.ts'
import { datagram, sendDatagrams } from '../../../lab/traffic.ts'
import { describeWith } from '../../setup/needs.ts'
import { CapturingExporter } from '../../support/capture.ts'

const labels = {
  'io.kubernetes.pod.name': 'web',
  'io.kubernetes.pod.namespace': 'lab',
  'io.kubernetes.pod.uid': 'uid-web',
}
const sleep = ['sleep', '1000']

describeWith(
  ['root', 'docker', 'containerd', 'tcpdump', 'tshark'],
  'captures of pods on a real Docker',
  () => {
    it('find a pod by its sandbox, and no plain container; its packets are all there', async () => {
      await using docker = await Docker.start()
      const sandbox = await docker.run({
        ...{
          name: 'k8s_POD_web',
          command: sleep,
          labels: { ...labels, 'io.kubernetes.docker.type': 'podsandbox' },
        },
      })
      await docker.run({
        ...{ name: 'k8s_main_web', command: sleep, network: `container:${sandbox.id}` },
        labels: { ...labels, 'io.kubernetes.container.name': 'main', 'io.kubernetes.sandbox.id': sandbox.id },
      })
      await docker.run({ name: 'plain', command: sleep })
      await docker.run({
        ...{ name: 'k8s_POD_host', command: sleep, network: 'host' },
        labels: { ...labels, 'io.kubernetes.pod.name': 'on-host', 'io.kubernetes.docker.type': 'podsandbox' },
      })
      await using exporter = await CapturingExporter.start(docker.socket)

      const capture = await exporter.ask({ namespace: 'lab', pod: 'web', filter: 'udp dst port 9999' })
      expect(capture.status).toBe(200)
      await sendDatagrams(sandbox.pid, { host: '127.0.0.1', port: 9_999, size: 40, count: 10 })
      // tcpdump shows a packet of the loopback interface once.
      await capture.has(10)
      expect(await capture.read(['ip.dst', 'udp.payload'])).toEqual(
        Array.from({ length: 10 }, (_, number) => ({
          ...{ 'ip.dst': '127.0.0.1', 'udp.payload': datagram(40, number) },
        })),
      )
      capture.response.destroy()

      // Docker's "none" network has no cable to the node.
      const veth = await exporter.ask({ namespace: 'lab', pod: 'web', interface: 'veth' })
      expect([veth.status, (await veth.refusal()).error]).toEqual([409, 'no_veth'])
      const onHost = await exporter.ask({ namespace: 'lab', pod: 'on-host' })
      expect([onHost.status, (await onHost.refusal()).error]).toEqual([409, 'host_network'])
      for (const pod of ['plain', 'main'])
        expect((await exporter.ask({ namespace: 'lab', pod })).status).toBe(404)

      const mortal = await exporter.ask({ namespace: 'lab', pod: 'web' })
      await docker.remove(sandbox.id)
      expect(await mortal.end()).toBe('pod_gone')
    })
  },
)
