import { expect, it } from 'vitest'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { socketContainer } from '../../../lab/pod-programs.ts'
import type { SocketPlan } from '../../../lab/pod-sockets.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy } from '../../support/exposition.ts'

const servers = 5
const clients = 14
const namespace = 'lab'

/** What client `k` holds towards its server; all numbers differ between clients that share one. */
function plannedFor(k: number): { established: number; halfClosed: number; overIpv6: number } {
  return { established: k + 1, halfClosed: k % 3, overIpv6: k % 4 }
}

/** The pods, their sockets, and the series that these must become. */
class Scene {
  readonly expected = new Map<string, number>()
  readonly serverPods: LabPod[] = []
  readonly clientPods: LabPod[] = []
  readonly #containerd: Containerd

  constructor(containerd: Containerd) {
    this.#containerd = containerd
  }

  async build(): Promise<void> {
    const listen = [
      { host: '0.0.0.0', port: 8080 },
      { host: '::', port: 8081 },
      { host: '0.0.0.0', port: 8082, close: true },
    ]
    for (let k = 0; k < servers; k += 1) {
      const server = await this.#run(`server-${k}`, { listen, udp: { v4: k, v6: 1 } })
      this.serverPods.push(server)
      for (const { host, port } of listen) this.#expect(server, host, port, 'LISTEN', 1)
    }
    for (const name of ['host-a', 'host-b'])
      await this.#containerd.runPod({ name, namespace, hostNetwork: true })
    for (let k = 0; k < clients; k += 1) await this.#client(k)
    // Last, since TIME_WAIT lasts a minute.
    const [server] = this.serverPods
    const hasty = await this.#run('hasty', { connect: [{ host: server?.ip ?? '', port: 8082, ended: 7 }] })
    this.#expect(hasty, server?.ip ?? '', 8082, 'TIME_WAIT', 7)
  }

  async #client(k: number): Promise<void> {
    const server = this.serverPods[k % servers]
    if (server === undefined) throw new Error('no server')
    const { established, halfClosed, overIpv6 } = plannedFor(k)
    const client = await this.#run(`client-${k}`, {
      connect: [
        { host: server.ip, port: 8080, established, halfClosed },
        { host: server.ipv6, port: 8081, established: overIpv6 },
      ],
    })
    this.clientPods.push(client)
    this.#expect(client, server.ip, 8080, 'ESTABLISHED', established)
    this.#expect(client, server.ip, 8080, 'FIN_WAIT2', halfClosed)
    this.#expect(client, server.ipv6, 8081, 'ESTABLISHED', overIpv6)
    this.#expect(server, client.ip, 0, 'ESTABLISHED', established)
    this.#expect(server, client.ip, 0, 'CLOSE_WAIT', halfClosed)
    this.#expect(server, client.ipv6, 0, 'ESTABLISHED', overIpv6)
  }

  #run(name: string, plan: SocketPlan): Promise<LabPod> {
    return this.#containerd.runPod({ name, namespace, containers: [socketContainer('main', plan)] })
  }

  #expect(pod: LabPod, address: string, port: number, status: string, count: number): void {
    if (count > 0) this.expected.set(`${pod.name}/main ${address} ${port} ${status}`, count)
  }
}

describeWith(['root', 'containerd', 'prometheus', 'bpf'], 'the exporter on a real containerd', () => {
  it.each([
    ['from /proc', 'procfs'],
    ['in one eBPF pass', 'ebpf'],
  ])(
    'counts the sockets of more than 20 pods, number by number, %s, and Prometheus takes them',
    async (_how, source) => {
      await using containerd = await Containerd.start()
      const scene = new Scene(containerd)
      await scene.build()
      await using exporter = await Program.start(['exporter'], {
        RUNTIME_ENDPOINT: containerd.socket,
        NODE_NAME: 'node-1',
        CONNECTIONS_SOURCE: source,
        LIBBPF_PATH: libbpfFile(),
      })
      const url = await exporter.url()
      const ofPods = (labels: Readonly<Record<string, string>>): string | undefined =>
        labels['pod_namespace'] !== namespace || labels['node'] !== 'node-1'
          ? undefined
          : `${labels['pod_name'] ?? ''}/${labels['container'] ?? ''} ${labels['remote_addr'] ?? ''} ${labels['remote_port'] ?? ''} ${labels['status'] ?? ''}`
      const expected = Object.fromEntries(scene.expected)
      let samples = await scrape(url)
      await waitFor(
        'all connections to stand',
        async () => {
          samples = await scrape(url)
          expect(valuesBy(samples, 'pod_connect_info', ofPods)).toEqual(expected)
          return true
        },
        { timeoutMs: 50_000, everyMs: 500 },
      ).catch(() => undefined)
      expect(valuesBy(samples, 'pod_connect_info', ofPods)).toEqual(expected)

      const byPod = (name: string, state: string): Record<string, number> =>
        valuesBy(samples, name, (labels) =>
          labels['namespace'] === namespace && (labels['tcp_state'] ?? labels['udp_state'] ?? '') === state
            ? labels['pod']
            : undefined,
        )
      const tcp = (state: string): Record<string, number> => byPod('container_network_tcp_usage_total', state)
      const tcp6 = (state: string): Record<string, number> =>
        byPod('container_network_tcp6_usage_total', state)
      for (let k = 0; k < clients; k += 1) {
        const { established, halfClosed, overIpv6 } = plannedFor(k)
        const name = `client-${k}`
        expect([tcp('established')[name], tcp('finwait2')[name], tcp6('established')[name]]).toEqual([
          ...[established, halfClosed, overIpv6],
        ])
        const figure = (what: string): number | undefined => byPod(`container_sockstat_${what}`, '')[name]
        expect([figure('established'), figure('inuse'), figure('timewait'), figure('udp')]).toEqual([
          ...[established + overIpv6, established + halfClosed + overIpv6, 0, 0],
        ])
      }
      for (let k = 0; k < servers; k += 1) {
        const name = `server-${k}`
        const own = Array.from({ length: clients }, (_, client) => client).filter((c) => c % servers === k)
        const sum = (pick: (c: number) => number): number => own.reduce((total, c) => total + pick(c), 0)
        expect(tcp('established')[name]).toBe(sum((c) => plannedFor(c).established))
        expect(tcp('closewait')[name]).toBe(sum((c) => plannedFor(c).halfClosed))
        expect([tcp('listen')[name], tcp6('listen')[name]]).toEqual([2, 1])
        expect(byPod('container_network_udp_usage_total', 'listen')[name]).toBe(k)
        expect(byPod('container_network_udp6_usage_total', 'listen')[name]).toBe(1)
      }
      expect(tcp('timewait')['hasty']).toBe(7)
      expect(byPod('container_sockstat_timewait', '')['hasty']).toBe(7)

      // The two pods of the host's network do not multiply it: it is there once, without a pod.
      const pods = Object.keys(tcp('listen'))
      expect(pods).toHaveLength(servers + clients + 1)
      expect(pods).not.toContain('host-a')
      const ofHost = (labels: Readonly<Record<string, string>>): string | undefined =>
        labels['id'] === '/' ? `${labels['pod'] ?? ''}${labels['tcp_state'] ?? ''}` : undefined
      expect(Object.keys(valuesBy(samples, 'container_network_tcp_usage_total', ofHost))).toHaveLength(11)

      const success = valuesBy(samples, 'podsonar_collector_success', ({ collector }) => collector)
      expect(success).toEqual({
        connections: 1,
        filesystem: 1,
        tcp: 1,
        udp: 1,
        sockstat: 1,
        tcp_health: 1,
        http: 1,
        grpc: 1,
      })

      await prometheusTakes(url, expected, ofPods)
    },
  )

  it('drops a pod that is removed at once, and one whose container ended with its sandbox', async () => {
    await using containerd = await Containerd.start()
    const pods = await Promise.all(['a', 'b', 'c'].map((name) => containerd.runPod({ name, namespace })))
    await using exporter = await Program.start(['exporter'], { RUNTIME_ENDPOINT: containerd.socket })
    const url = await exporter.url()
    const seen = async (): Promise<string[]> =>
      Object.keys(
        valuesBy(await scrape(url), 'container_sockstat_total', (labels) =>
          labels['namespace'] === namespace ? labels['pod'] : undefined,
        ),
      ).sort()
    await waitFor('the pods to be seen', async () => (await seen()).length === 3)
    const [first, second] = pods
    if (first === undefined || second === undefined) throw new Error('no pods')
    process.kill(first.containers[0]?.pid ?? Number.NaN, 'SIGKILL')
    await containerd.removePod(second)
    await waitFor('the removed pod to be gone', async () => (await seen()).join() === 'a,c')
    // Of the first pod only the sandbox is left, which holds its network.
    const samples = await waitFor('the ended container to be gone', async () => {
      const all = await scrape(url)
      return valuesBy(all, 'podsonar_containers', () => 'all')['all'] === 1 ? all : undefined
    })
    const ids = valuesBy(samples, 'container_sockstat_total', ({ pod, id }) => pod && id)
    expect(Object.keys(ids).find((id) => id.endsWith(`/pod${first.uid}`))).toBeDefined()
    await containerd.removePod(first)
    await waitFor('the sandbox to be gone', async () => (await seen()).join() === 'c')
    const skipped = valuesBy(
      samples,
      'podsonar_skipped_total',
      ({ kind, reason }) => `${kind ?? ''} ${reason ?? ''}`,
    )
    expect(Object.keys(skipped).filter((key) => !/process_gone/.test(key))).toEqual([])
  })

  it('goes on with the pods it knows while containerd is frozen or gone, says so, and recovers', async () => {
    await using containerd = await Containerd.start()
    await containerd.runPod({ name: 'a', namespace })
    await using exporter = await Program.start(['exporter'], { RUNTIME_ENDPOINT: containerd.socket })
    const url = await exporter.url()
    const figures = async (): Promise<[number | undefined, number | undefined]> => {
      const samples = await scrape(url)
      const total = valuesBy(samples, 'container_sockstat_total', ({ pod }) => pod || undefined)
      const up = valuesBy(samples, 'podsonar_runtime_up', ({ runtime }) => runtime)
      return [total['a'] === undefined ? undefined : 1, up['containerd']]
    }
    const ready = async (): Promise<number> => (await fetch(`${url}/readyz`)).status
    await waitFor('the pod to be seen', async () => (await figures()).join() === '1,1')
    expect(await ready()).toBe(200)

    containerd.signal('SIGSTOP')
    await waitFor('the freeze to be noticed', async () => (await figures()).join() === '1,0')
    expect(await ready()).toBe(503)
    containerd.signal('SIGCONT')
    await waitFor('containerd to answer again', async () => (await figures()).join() === '1,1')

    await containerd.kill()
    await waitFor('the end to be noticed', async () => (await figures()).join() === '1,0')
    await containerd.restart()
    await containerd.runPod({ name: 'b', namespace })
    await waitFor('the new pod to be seen', async () => {
      const total = valuesBy(await scrape(url), 'container_sockstat_total', ({ pod }) => pod || undefined)
      return total['a'] !== undefined && total['b'] !== undefined
    })
    expect(await ready()).toBe(200)
  })
})

/** A Prometheus that scrapes the exporter as its documentation says keeps every label. */
async function prometheusTakes(
  url: string,
  expected: Record<string, number>,
  key: (labels: Readonly<Record<string, string>>) => string | undefined,
): Promise<void> {
  await using prometheus = await Prometheus.start(`
scrape_configs:
  - job_name: podsonar-exporter
    honor_labels: true
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs: [{ targets: ["${url.slice('http://'.length)}"] }]
`)
  await waitFor('Prometheus to scrape', async () => (await prometheus.query('up == 1')).length === 1)
  const series = await prometheus.query('{job="podsonar-exporter"}')
  expect(
    series.filter(({ metric }) => Object.keys(metric).some((label) => label.startsWith('exported_'))),
  ).toEqual([])
  const stored: Record<string, number> = {}
  for (const { metric, value } of series) {
    const text = metric['__name__'] === 'pod_connect_info' ? key(metric) : undefined
    if (text !== undefined) stored[text] = Number(value[1])
  }
  // TIME_WAIT may have ended meanwhile.
  const lasting = (all: Record<string, number>): Record<string, number> =>
    Object.fromEntries(Object.entries(all).filter(([text]) => !text.endsWith('TIME_WAIT')))
  expect(lasting(stored)).toEqual(lasting(expected))
}
