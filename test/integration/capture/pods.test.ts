import { afterAll, beforeAll, expect, it } from 'vitest'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { runIperf, startIperfServer } from '../../../lab/iperf.ts'
import { datagram, sendDatagrams } from '../../../lab/traffic.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { CapturingExporter } from '../../support/capture.ts'

const namespace = 'lab'
/** Room for what headers add to a payload. */
const mtu = 9_000

describeWith(
  ['root', 'containerd', 'tcpdump', 'tshark', 'iperf3'],
  'captures of pods on a real containerd',
  () => {
    let containerd: Containerd
    let exporter: CapturingExporter
    let web: LabPod
    let client: LabPod
    let pid: number

    beforeAll(async () => {
      containerd = await Containerd.start({ mtu })
      web = await containerd.runPod({
        name: 'web',
        namespace,
        command: ['nc', '-ll', '-p', '8080', '-e', 'cat'],
      })
      client = await containerd.runPod({ name: 'client', namespace })
      pid = client.containers[0]?.pid ?? Number.NaN
      exporter = await CapturingExporter.start(containerd.socket, { CAPTURE_MAX_BYTES: '5000000000' })
    }, 120_000)
    afterAll(async () => {
      await exporter[Symbol.asyncDispose]()
      await containerd[Symbol.asyncDispose]()
    }, 60_000)

    it.each([
      ['IPv4', 'any'],
      ['IPv4', 'eth0'],
      ['IPv4', 'veth'],
      ['IPv6', 'any'],
      ['IPv6', 'veth'],
    ])('show known datagrams over %s, packet by packet, on interface %s', async (family, device) => {
      const [host, from] = family === 'IPv4' ? [web.ip, client.ip] : [web.ipv6, client.ipv6]
      const capture = await exporter.ask({
        ...{ namespace, pod: 'web', filter: 'udp dst port 9999', interface: device, seconds: 60 },
      })
      expect(capture.status).toBe(200)
      await sendDatagrams(pid, { host, port: 9_999, size: 100, count: 20 })
      await capture.has(20)
      const address = family === 'IPv4' ? 'ip' : 'ipv6'
      const packets = await capture.read([`${address}.src`, `${address}.dst`, 'udp.srcport', 'udp.payload'])
      capture.response.destroy()
      expect(packets).toEqual(
        Array.from({ length: 20 }, (_, number) => ({
          ...{ [`${address}.src`]: from, [`${address}.dst`]: host },
          ...{ 'udp.srcport': '45678', 'udp.payload': datagram(100, number) },
        })),
      )
    })

    it('show frames of 9,000 bytes whole, and only as much of them as the snaplen says', async () => {
      const size = mtu - 28
      const datagrams = { host: web.ip, port: 9_998, size, count: 5 }
      const whole = await exporter.ask({ namespace, pod: 'web', filter: 'udp port 9998', interface: 'eth0' })
      const cut = await exporter.ask({
        ...{ namespace, pod: 'web', filter: 'udp port 9998', interface: 'eth0', snaplen: 96 },
      })
      await sendDatagrams(pid, datagrams)
      await whole.has(5)
      await cut.has(5)
      const read = await whole.read(['frame.len', 'frame.cap_len', 'udp.payload'])
      expect(read).toEqual(
        Array.from({ length: 5 }, (_, number) => ({
          ...{ 'frame.len': String(mtu + 14), 'frame.cap_len': String(mtu + 14) },
          'udp.payload': datagram(size, number),
        })),
      )
      for (const packet of await cut.read(['frame.len', 'frame.cap_len']))
        expect(packet).toEqual({ 'frame.len': String(mtu + 14), 'frame.cap_len': '96' })
      for (const capture of [whole, cut]) capture.response.destroy()
    })

    it('show a TCP conversation from its first SYN to its last FIN, and none of another pod', async () => {
      const other = await exporter.ask({ namespace, pod: 'client', filter: 'tcp port 8080' })
      const capture = await exporter.ask({
        namespace,
        pod: 'web',
        filter: 'tcp port 8080',
        interface: 'eth0',
      })
      const { connect } = await import('node:net')
      const socket = connect(8_080, web.ip)
      socket.write('ping-pong')
      await new Promise((resolve) => socket.once('data', resolve))
      socket.end()
      await waitFor('the last FIN', async () => {
        const flags = (await capture.read(['tcp.flags.str'])).map((packet) => packet['tcp.flags.str'])
        return flags.filter((flag) => flag.includes('F')).length === 2
      })
      const packets = await capture.read(['ip.src', 'tcp.flags.syn', 'tcp.payload'])
      expect(packets[0]).toMatchObject({ 'ip.src': containerd.bridge.address, 'tcp.flags.syn': '1' })
      const said = Buffer.from('ping-pong').toString('hex')
      expect(
        packets.filter((packet) => packet['tcp.payload'] === said).map((packet) => packet['ip.src']),
      ).toEqual([...[containerd.bridge.address, web.ip]])
      expect(other.packets).toBe(0)
      for (const one of [capture, other]) one.response.destroy()
    })

    it('work for a pod without any running container, since it is the sandbox that has the network', async () => {
      const bare = await containerd.runPod({ name: 'crashing', namespace, containers: [] })
      // Pods of which no container ever ran are looked for every 30 s.
      const capture = await waitFor(
        'the sandbox to be known',
        async () => {
          const asked = await exporter.ask({ namespace, pod: 'crashing', filter: 'udp' })
          return asked.status === 200 && asked
        },
        { timeoutMs: 45_000, everyMs: 1_000 },
      )
      await sendDatagrams(pid, { host: bare.ip, port: 9_999, size: 10, count: 3 })
      await capture.has(3)
      await containerd.removePod(bare)
      expect(await capture.end()).toBe('pod_gone')
      expect(await capture.read(['udp.dstport'])).toHaveLength(3)
    })

    it('take the newest pod of a name, and find veths by number: 5 is not 15', async () => {
      // With a dozen pods more, indices with one and with two digits meet.
      const pods = await Promise.all(
        Array.from({ length: 12 }, (_, k) => containerd.runPod({ name: `many-${k}`, namespace })),
      )
      for (const pod of pods) {
        const capture = await exporter.ask({ namespace, pod: pod.name, filter: 'udp', interface: 'veth' })
        await sendDatagrams(pid, { host: pod.ip, port: 9_999, size: 10, count: 1 })
        await capture.has(1)
        expect(await capture.read(['ip.dst'])).toEqual([{ 'ip.dst': pod.ip }])
        capture.response.destroy()
      }
    }, 120_000)

    it('are refused for a pod that uses the network of its node, and for one that is not here', async () => {
      await containerd.runPod({ name: 'on-host', namespace, hostNetwork: true })
      const onHost = await exporter.ask({ namespace, pod: 'on-host' })
      expect(onHost.status).toBe(409)
      expect(await onHost.refusal()).toMatchObject({
        error: 'host_network',
        message: expect.stringContaining("everybody's packets") as unknown,
      })
      const absent = await exporter.ask({ namespace: 'default', pod: 'web' })
      expect([absent.status, (await absent.refusal()).error]).toEqual([404, 'no_such_pod'])
    })

    it('keep up with 10 Gbit at 1 Gbit/s, and tell what was dropped', async () => {
      await using _server = await startIperfServer(web.containers[0]?.pid ?? Number.NaN)
      const capture = await exporter.ask({ namespace, pod: 'web', filter: 'tcp port 5201', seconds: 60 })
      capture.response.removeAllListeners('data')
      let bytes = 0
      capture.response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      await runIperf(web.ip, ['-b', '1G', '-n', '1250M'])
      await exporter.program[Symbol.asyncDispose]()
      await capture.ended
      const { trailers } = capture.response
      const [packets, received, dropped] = ['packets', 'received', 'dropped'].map((name) =>
        Number(trailers[`x-capture-${name}`]),
      )
      // Whatever a loaded machine could not keep up with is counted: nothing is lost in silence.
      expect((packets ?? 0) + (dropped ?? 0)).toBeGreaterThan((received ?? 0) * 0.95)
      expect(packets).toBeGreaterThan(0)
      expect(bytes).toBeGreaterThan(100_000_000)
      expect(trailers['x-capture-end']).toBe('stopped')
      exporter = await CapturingExporter.start(containerd.socket)
    }, 120_000)
  },
)
