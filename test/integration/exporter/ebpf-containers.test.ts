import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { socketContainer } from '../../../lab/pod-programs.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Process } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { missedOnTheNode } from '../../support/bpf-programs.ts'
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

/** The version 2 cgroup of a process. */
function cgroupFolder(pid: number): string {
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1] ?? ''
  const root = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((folder) =>
    existsSync(join(folder, 'cgroup.controllers')),
  )
  return join(root ?? '', path)
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

  it('labels a socket with its container also where that made cgroups of its own', async () => {
    await using containerd = await Containerd.start()
    const [port = 0] = await freePorts(1)
    const { containers } = await containerd.runPod({
      ...{ name: 'nested', namespace },
      containers: [socketContainer('app', {}), socketContainer('proxy', {})],
    })
    const pid = containers[0]?.pid ?? 0
    const cgroup = join(cgroupFolder(pid), 'made', 'inside')
    await mkdir(cgroup, { recursive: true })
    // As a process of the container would that moved itself there.
    const listen = JSON.stringify({ listen: [{ host: '0.0.0.0', port }] })
    const script = 'echo $$ > "$0/cgroup.procs"; exec nsenter --target "$1" --net "$2" "$3" "$4"'
    const program = fileURLToPath(new URL('../../../lab/pod-sockets.ts', import.meta.url))
    const args = ['-c', script, cgroup, String(pid), process.execPath, program, listen]
    {
      await using holder = await Process.start('nested', 'sh', args)
      await waitFor('the server to listen', () => holder.stdout.includes('ready'))
      await using exporter = await Program.start(['exporter'], {
        ...{ RUNTIME_ENDPOINT: containerd.socket, CONNECTIONS_SOURCE: 'ebpf', LIBBPF_PATH: libbpfFile() },
      })
      const url = await exporter.url()
      await waitFor('the pod to be seen', async () => {
        expect(listeners(await scrape(url), [port])).toEqual({ [`nested/app ${port}`]: 1 })
        return true
      })
    }
    await rmdir(cgroup)
    await rmdir(dirname(cgroup))
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
    expect(valuesBy(samples, 'podsonar_tcp_health_lost_events_total', () => 'lost')['lost']).toBeLessThan(
      missedOnTheNode,
    )

    await containerd.removePod(client)
    await waitFor(
      'the counters to end',
      async () => !('client/main' in opened(await scrape(url), 'outbound')),
    )
  })
})
