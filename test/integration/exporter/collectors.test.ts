import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { HungMount } from '../../../lab/hung-mount.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'

/** The value of a family's only sample of a pod, or of the one whose labels match. */
function valueOf(
  samples: readonly MetricSample[],
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const found = samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([key, value]) => (sample.labels[key] ?? '') === value),
  )
  if (found.length > 1) throw new Error(`${name} has ${found.length} samples for ${JSON.stringify(labels)}`)
  return found[0]?.value
}

/** What a command prints inside a pod's only container. */
async function inside(containerd: Containerd, pod: LabPod, ...command: string[]): Promise<string> {
  const id = pod.containers[0]?.id ?? ''
  return containerd.ctr(['tasks', 'exec', '--exec-id', `probe-${performance.now()}`, id, ...command])
}

describeWith(['root', 'containerd'], "the exporter's other collectors on a real containerd", () => {
  it('tell of space, traffic, resources, processes and TCP what the pod itself sees', async () => {
    await using containerd = await Containerd.start()
    const labels = { app: 'shop', 'example.com/tier': 'web' }
    const script =
      'dd if=/dev/zero of=/written bs=1M count=8 2>/dev/null; while :; do :; done & nc -ll -p 80 -e cat'
    const pod = await containerd.runPod({
      ...{ name: 'web', namespace: 'lab', labels, annotations: { note: 'n' } },
      command: ['sh', '-c', script],
    })
    await containerd.runPod({ name: 'on-host', namespace: 'lab', hostNetwork: true })
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: containerd.socket,
      COLLECTORS: 'filesystem,network,resources,processes,advtcp,sockstat',
      POD_LABELS: 'app,example.com/tier',
      CONNECTIONS_SOURCE: 'procfs',
    })
    const url = await exporter.url()
    const web = { pod: 'web', namespace: 'lab', label_app: 'shop', label_example_com_tier: 'web' }
    const samples = await waitFor('the written layer to be known', async () => {
      const all = await scrape(url)
      const written = valueOf(all, 'container_writable_layer_bytes', { ...web, container: 'main' })
      return written === undefined ? undefined : all
    })

    const [block = 0, blocks = 0, , files = 0] = (
      await inside(containerd, pod, 'stat', '-f', '-c', '%S %b %a %c %d', '/')
    )
      .trim()
      .split(' ')
      .map(Number)
    const root = { ...web, container: 'main', mountpoint: '/' }
    expect(valueOf(samples, 'container_filesystem_size_bytes', root)).toBe(block * blocks)
    expect(valueOf(samples, 'container_filesystem_files', root)).toBe(files)
    expect(valueOf(samples, 'container_filesystem_avail_bytes', root)).toBeGreaterThan(0)
    const shm = { ...root, mountpoint: '/dev/shm', fstype: 'tmpfs' }
    expect(valueOf(samples, 'container_filesystem_size_bytes', shm)).toBe(64 << 20)

    const [pid] = pod.containers.map((container) => container.pid)
    const dev = readFileSync(`/proc/${String(pid)}/net/dev`, 'latin1')
    const received = Number(/eth0:\s*(\d+)/.exec(dev)?.[1])
    const onEth0 = { ...web, interface: 'eth0' }
    const now = await scrape(url)
    expect(valueOf(now, 'container_network_receive_bytes_total', onEth0)).toBeGreaterThanOrEqual(received)
    expect(valueOf(now, 'container_network_receive_errors_total', onEth0)).toBe(0)

    // nc, which the shell became, and the busy loop
    expect(valueOf(now, 'container_processes', web)).toBe(2)
    expect(valueOf(now, 'container_threads', web)).toBe(2)
    expect(valueOf(now, 'container_sockets', web)).toBe(1)
    expect(valueOf(now, 'container_file_descriptors', web)).toBeGreaterThanOrEqual(5)
    expect(valueOf(now, 'container_network_advance_tcp_stats_total', { ...web, tcp_state: 'rtomin' })).toBe(
      200,
    )

    const busy = { ...web, container: 'main', cpu: 'total' }
    const before = valueOf(now, 'container_cpu_usage_seconds_total', busy) ?? Number.NaN
    await waitFor('a busy container to use a CPU', async () => {
      const used = valueOf(await scrape(url), 'container_cpu_usage_seconds_total', busy) ?? 0
      return used > before + 0.2
    })
    expect(valueOf(now, 'container_memory_usage_bytes', web)).toBeGreaterThan(0)

    const success = valuesBy(now, 'podsonar_collector_success', ({ collector }) => collector)
    expect([...new Set(Object.values(success))]).toEqual([1])
    // Network families of the node are there once; its hostNetwork pod has none.
    expect(
      now.filter(
        ({ name, labels: own }) => /^container_(network|sockstat)/.test(name) && own['pod'] === 'on-host',
      ),
    ).toEqual([])
    expect(valueOf(now, 'container_sockstat_total', { id: '/' })).toBeGreaterThan(0)
  })

  it('are not held up by a mount that hangs', async () => {
    await using containerd = await Containerd.start()
    const pod = await containerd.runPod({ name: 'web', namespace: 'lab' })
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: containerd.socket,
      COLLECTORS: 'filesystem,sockstat',
    })
    const url = await exporter.url()
    {
      await using _hung = await HungMount.on(pod.containers[0]?.pid ?? 0, '/tmp/remote')
      const startedAt = performance.now()
      const samples = await waitFor('the pod to be seen', async () => {
        const all = await scrape(url)
        return all.some(({ name }) => name === 'container_filesystem_size_bytes') ? all : undefined
      })
      // Not for ever; a busy machine takes its time.
      expect(performance.now() - startedAt).toBeLessThan(60_000)
      const points = valuesBy(samples, 'container_filesystem_size_bytes', ({ mountpoint }) => mountpoint)
      expect(Object.keys(points).sort()).toEqual(['/', '/dev/shm'])
      const unreadable = valuesBy(samples, 'podsonar_unreadable_mounts', ({ reason }) => reason)
      expect(unreadable).toEqual({ hung: 1 })
      // One that waited for the mount again would take a second, each time.
      await waitFor('a scrape that does not wait for it', async () => {
        const again = performance.now()
        await scrape(url)
        return performance.now() - again < 900
      })
    }
  })
})
