import { connect } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Containerd, type ContainerSpec } from '../../../lab/containerd.ts'
import { startIperfServer, startIperfStream } from '../../../lab/iperf.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import {
  BareNamespaces,
  interfaceCounters,
  type InterfaceCounters,
  networkNamespace,
  SocketHolder,
} from '../../../lab/network-namespace.ts'
import { run } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import { StackReader } from '../../../src/exporter/ebpf/stack-reader.ts'
import { describeWith } from '../../setup/needs.ts'
import { linksOf, missedOnTheNode, programsOf } from '../../support/bpf-programs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'
import { stagesOf, stackTraffic } from '../../support/stack-stages.ts'

const server = fileURLToPath(new URL('../../support/node-http-server.ts', import.meta.url))
const web: ContainerSpec = {
  name: 'web',
  command: ['/node', '/server.ts', '0.0.0.0', '8080'],
  mounts: { '/usr': '/usr', '/node': process.execPath, '/server.ts': server },
}
const observed = { 'podsonar.io/observe': 'true' }

function ofPod(
  samples: readonly MetricSample[],
  pod: string,
  name: string,
  label: string,
): Record<string, number> {
  return valuesBy(samples, name, (labels) => (labels['pod'] === pod ? labels[label] : undefined))
}

/** What an interface grew by since `before`. */
function growth(now: InterfaceCounters, before: InterfaceCounters): InterfaceCounters {
  return {
    receiveBytes: now.receiveBytes - before.receiveBytes,
    receivePackets: now.receivePackets - before.receivePackets,
    transmitBytes: now.transmitBytes - before.transmitBytes,
    transmitPackets: now.transmitPackets - before.transmitPackets,
  }
}

describeWith(['root', 'containerd', 'bpf'], 'the network stack of pods on a real containerd', () => {
  it('is timed stage by stage, its drops have reasons and its traffic is what the kernel counts', async () => {
    await using containerd = await Containerd.start()
    const pod = await containerd.runPod({
      ...{ name: 'observed', namespace: 'lab', annotations: observed, containers: [web] },
    })
    await containerd.runPod({ name: 'plain', namespace: 'lab', containers: [web] })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), COLLECTORS: 'stack' },
    })
    const url = await exporter.url()
    const pid = pod.containers[0]?.pid ?? 0
    const ask = async (): Promise<void> => {
      await (await fetch(`http://${pod.ip}:8080/chunked`, { headers: { connection: 'close' } })).text()
    }
    const traffic = async (): Promise<InterfaceCounters> => {
      const samples = await scrape(url)
      const of = (name: string): number =>
        ofPod(samples, 'observed', `podsonar_stack_${name}_total`, 'interface')['eth0'] ?? 0
      return {
        ...{ receiveBytes: of('receive_bytes'), receivePackets: of('receive_packets') },
        ...{ transmitBytes: of('transmit_bytes'), transmitPackets: of('transmit_packets') },
      }
    }
    await waitFor('the pod to be seen and its server to answer', async () => {
      await scrape(url)
      await ask()
      return (await traffic()).receivePackets
    })

    // Neighbours may ask for each other at any moment: a window in which both sides grew alike is enough.
    await waitFor('a window without other traffic', async () => {
      const before = { kernel: interfaceCounters(pid, 'eth0'), ours: await traffic() }
      if (interfaceCounters(pid, 'eth0').receivePackets !== before.kernel.receivePackets) return undefined
      for (let request = 0; request < 10; request += 1) await ask()
      await waitFor('the connections to be closed', async () => {
        const kernel = growth(interfaceCounters(pid, 'eth0'), before.kernel)
        expect(growth(await traffic(), before.ours)).toEqual(kernel)
        return kernel.receivePackets >= 50
      })
      return true
    })
    const noSocket = (now: readonly MetricSample[]): number =>
      ofPod(now, 'observed', 'podsonar_stack_dropped_packets_total', 'reason')['no_socket'] ?? 0
    const refusedBefore = noSocket(await scrape(url)) // as when the server was asked before it listened
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const socket = connect(9, pod.ip)
      await expect(once(socket, 'connect')).rejects.toThrow('ECONNREFUSED')
    }

    const samples = await waitFor('the drops to be counted', async () => {
      const now = await scrape(url)
      return noSocket(now) === refusedBefore + 5 ? now : undefined
    })
    const counts = valuesBy(
      samples,
      'podsonar_stack_duration_seconds_count',
      ({ pod: name, direction, stage }) =>
        name === 'observed' ? `${direction ?? ''} ${stage ?? ''}` : undefined,
    )
    const { 'receive backlog': backlog = 0 } = counts // comes and goes with who happens to hold the socket
    delete counts['receive backlog']
    expect(Object.keys(counts).sort()).toEqual([
      ...['receive application', 'receive ip', 'receive queue', 'receive tcp', 'receive total'],
      ...['send buffer', 'send ip', 'send queue'],
    ])
    expect(counts['receive total']).toBe(counts['receive application'])
    expect(counts['receive total']).toBeGreaterThanOrEqual(10)
    expect(counts['receive total']).toBeLessThanOrEqual(counts['receive tcp'] ?? 0)
    expect(counts['receive tcp']).toBeLessThan((counts['receive ip'] ?? 0) + backlog) // of which many carry no data
    const sums = valuesBy(
      samples,
      'podsonar_stack_duration_seconds_sum',
      ({ pod: name, direction, stage }) =>
        name === 'observed' ? `${direction ?? ''} ${stage ?? ''}` : undefined,
    )
    for (const [stage, sum] of Object.entries(sums))
      if (stage !== 'send buffer') expect(sum).toBeGreaterThan(0)
    expect(sums['receive total']).toBeGreaterThan(sums['receive application'] ?? Infinity)
    expect(samples.filter(({ labels }) => labels['pod'] === 'plain')).toEqual([])
    const { lost } = valuesBy(samples, 'podsonar_stack_lost_events_total', () => 'lost')
    expect(lost).toBeLessThan(missedOnTheNode)

    await containerd.removePod(pod)
    await waitFor('the pod to be forgotten', async () =>
      (await scrape(url)).every(({ labels }) => labels['pod'] !== 'observed'),
    )
  })

  it('attaches nothing unless the collector is asked for', async () => {
    await using containerd = await Containerd.start()
    await containerd.runPod({ name: 'observed', annotations: observed })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), CONNECTIONS_SOURCE: 'procfs' },
      COLLECTORS: 'sockstat',
    })
    await scrape(await exporter.url())

    expect(programsOf(exporter.process.pid)).toEqual([])
  })
})

describeWith(['root', 'bpf', 'iperf3'], 'the reader of the network stack', () => {
  it('follows each datagram from the device to its reader', async () => {
    using reader = new StackReader({ log: silentLogger, libbpf: libbpfFile() })
    await using namespaces = await BareNamespaces.create(1)
    const [pid = 0] = namespaces.pids
    reader.watch([networkNamespace(pid)])

    expect(await stackTraffic(pid, 'datagrams', '50')).toBe(25 * 100 + 25 * 40_000)

    const stages = stagesOf(reader)
    expect(Object.keys(stages).sort()).toEqual([
      ...['receive application', 'receive queue', 'receive total', 'receive udp'],
      'send queue',
    ])
    for (const stage of ['receive udp', 'receive application', 'receive total'])
      expect(stages[stage]?.packets).toBe(50)
  })

  it('tells how long bytes wait in the send buffer of a peer that does not read', async () => {
    using reader = new StackReader({ log: silentLogger, libbpf: libbpfFile() })
    await using namespaces = await BareNamespaces.create(1)
    const [pid = 0] = namespaces.pids
    reader.watch([networkNamespace(pid)])

    expect(await stackTraffic(pid, 'late-reader')).toBeGreaterThan(100_000)

    const { 'send buffer': buffer } = stagesOf(reader)
    expect(buffer?.buckets[0]).toBeGreaterThan(0) // there was room at first
    expect(buffer?.buckets.slice(1).reduce((sum, value) => sum + value, 0)).toBeGreaterThan(0)
  })

  it('tells what waits for a process that holds the socket from what IP takes', async () => {
    using reader = new StackReader({ log: silentLogger, libbpf: libbpfFile() })
    await using namespaces = await BareNamespaces.create(1)
    const [pid = 0] = namespaces.pids
    await run('nsenter', ['--target', String(pid), '--net', 'ip', 'link', 'set', 'lo', 'up'])
    await using _server = await startIperfServer(pid)
    reader.watch([networkNamespace(pid)])

    await using _stream = await startIperfStream(pid, '127.0.0.1')
    await waitFor('a packet to meet a process that reads', () => stagesOf(reader)['receive backlog']?.packets)

    expect(stagesOf(reader)['receive ip']?.packets).toBeGreaterThan(0)
  })

  it('is attached while something is watched, and costs nothing else', async () => {
    using reader = new StackReader({ log: silentLogger, libbpf: libbpfFile() })
    await using namespaces = await BareNamespaces.create(1)
    const [pid = 0] = namespaces.pids
    const links = (): number => linksOf(process.pid).length
    const before = links()

    reader.watch([])
    expect(links()).toBe(before)
    reader.watch([networkNamespace(pid)])
    expect(links()).toBe(before + 10)
    expect(await stackTraffic(pid, 'datagrams', '2')).toBe(40_100)
    reader.watch([])
    expect(links()).toBe(before)
    reader.watch([networkNamespace(pid)])
    expect(await stackTraffic(pid, 'datagrams', '4')).toBe(80_200)

    expect(stagesOf(reader)['receive udp']?.packets).toBe(4)
  })

  it('counts nothing of a namespace before it is watched, nor after', async () => {
    using reader = new StackReader({ log: silentLogger, libbpf: libbpfFile() })
    await using first = await SocketHolder.lives()
    expect(reader.read()).toMatchObject({ times: [], interfaces: [], drops: [] })

    reader.watch([first.namespace])
    expect(reader.read().times.map(({ namespace }) => namespace)).toEqual([first.namespace])
    reader.watch([])

    expect(reader.read()).toMatchObject({ times: [], interfaces: [], drops: [] })
  })
})
