import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { socketContainer } from '../../../lab/pod-programs.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'

const namespace = 'lab'

/** Who listens on which port, as `pod/container`. */
function listeners(samples: readonly MetricSample[], ports: readonly number[]): Record<string, number> {
  return valuesBy(samples, 'pod_connect_info', (labels) =>
    labels['status'] === 'LISTEN' && ports.includes(Number(labels['remote_port']))
      ? `${labels['pod_name'] ?? ''}/${labels['container'] ?? ''} ${labels['remote_port'] ?? ''}`
      : undefined,
  )
}

/** Opened connections by pod and container. */
function opened(samples: readonly MetricSample[], direction: string): Record<string, number> {
  return valuesBy(samples, 'container_tcp_connections_opened_total', (labels) =>
    labels['direction'] === direction && labels['namespace'] === namespace
      ? `${labels['pod'] ?? ''}/${labels['container'] ?? ''}`
      : undefined,
  )
}

describeWith(['root', 'containerd', 'bpf'], 'the exporter with eBPF on a real containerd', () => {
  it("labels a socket with the container that owns it, in the host's network and in a shared one", async () => {
    await using containerd = await Containerd.start()
    const [first = 0, second = 0] = await freePorts(2)
    const listen = (port: number) => ({ listen: [{ host: '0.0.0.0', port }] })
    await containerd.runPod({
      ...{ name: 'agent', namespace, hostNetwork: true },
      containers: [socketContainer('one', listen(first)), socketContainer('two', listen(second))],
    })
    await containerd.runPod({
      ...{ name: 'pair', namespace },
      containers: [socketContainer('app', listen(first)), socketContainer('proxy', listen(second))],
    })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, CONNECTIONS_SOURCE: 'ebpf', LIBBPF_PATH: libbpfFile() },
    })
    const url = await exporter.url()

    const expected = {
      [`agent/one ${first}`]: 1,
      [`agent/two ${second}`]: 1,
      [`pair/app ${first}`]: 1,
      [`pair/proxy ${second}`]: 1,
    }
    await waitFor('the servers to listen', async () => {
      expect(listeners(await scrape(url), [first, second])).toEqual(expected)
      return true
    })
  })

  it('goes on counting when a container is restarted, and ends with its pod', async () => {
    await using containerd = await Containerd.start()
    const server = await containerd.runPod({
      ...{ name: 'server', namespace },
      containers: [socketContainer('main', { listen: [{ host: '0.0.0.0', port: 8080, close: true }] })],
    })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile() },
    })
    const url = await exporter.url()
    await waitFor('the pod to be seen', async () => 'server/main' in opened(await scrape(url), 'inbound'))
    const connecting = socketContainer('main', {
      connect: [{ host: server.ip, port: 8080, ended: 11, established: 3 }],
    })
    const client = await containerd.runPod({ name: 'client', namespace, containers: [connecting] })
    const until = (what: string, inbound: number): Promise<unknown> =>
      waitFor(what, async () => {
        const samples = await scrape(url)
        expect(opened(samples, 'inbound')['server/main']).toBe(inbound)
        expect(opened(samples, 'outbound')['client/main']).toBe(inbound)
        return true
      })
    await until('the first connections to be counted', 14)

    const [container] = client.containers
    if (container === undefined) throw new Error('no container')
    await containerd.removeContainer(container)
    await waitFor('the container to be gone', async () =>
      Object.keys(opened(await scrape(url), 'outbound')).every((key) => key !== 'client/main'),
    )
    await containerd.addContainer(client, connecting)
    await until('its successor to add to the counters', 28)
    const samples = await scrape(url)
    expect(valuesBy(samples, 'podsonar_tcp_health_lost_events_total', () => 'lost')).toEqual({ lost: 0 })

    await containerd.removePod(client)
    await waitFor(
      'the counters to end',
      async () => !('client/main' in opened(await scrape(url), 'outbound')),
    )
  })
})
