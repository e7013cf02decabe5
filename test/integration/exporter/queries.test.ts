import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { libbpfFile, unpacked } from '../../../lab/needs.ts'
import { socketContainer } from '../../../lab/pod-programs.ts'
import type { SocketPlan } from '../../../lab/pod-sockets.ts'
import { run } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { runRequestPods } from '../../support/request-pods.ts'
import { registrarSettings } from '../../support/registrar.ts'

/** A queue outside the cluster: a server on this machine, whose address no pod, service or node has. */
class OutsideQueue implements AsyncDisposable {
  readonly #server = createServer((socket) => {
    this.#accepted.add(socket.on('error', () => undefined))
  })
  readonly #accepted = new Set<Socket>()

  static async listen(address: string): Promise<OutsideQueue> {
    const queue = new OutsideQueue()
    queue.#server.listen(9092, address)
    await once(queue.#server, 'listening')
    return queue
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#accepted) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** Gives a pod a second address, as the one of a Service that leads to it. */
async function addAddress(pod: LabPod): Promise<string> {
  const address = pod.ip.replace(/\.\d+\.\d+$/, '.250.250')
  await inNetworkOf(pod, 'ip', 'addr', 'add', `${address}/16`, 'dev', 'eth0')
  return address
}

const page = readFileSync(new URL('../../../docs/recipes.md', import.meta.url), 'utf8')
const sections = new Map(
  page.split(/^## /m).map((section) => {
    const queries = [...section.matchAll(/```promql\n(.*?)```/gs)].map(([, query = '']) => query)
    return [section.slice(0, section.indexOf('\n')), queries] as const
  }),
)
const asked = new Set<string>()

/** The queries of a section, in their order. */
function recipe(heading: string): readonly string[] {
  const queries = sections.get(heading)
  if (queries === undefined) throw new Error(`docs/recipes.md has no section ${heading}`)
  for (const query of queries) asked.add(query)
  return queries
}

/** Waits until a query answers with these rows of those that begin with `only`: the labels' values, and the value itself. */
async function becomes(
  prometheus: Prometheus,
  query: string,
  labels: readonly string[],
  expected: readonly string[],
  { withValue = true, only = '' }: { readonly withValue?: boolean; readonly only?: string } = {},
): Promise<void> {
  await waitFor(`the answer ${JSON.stringify(expected)}`, async () => {
    const rows = (await prometheus.query(query)).map(({ metric, value }) =>
      [...labels.map((label) => metric[label] ?? '-'), ...(withValue ? [value[1]] : [])].join(' '),
    )
    // On a busy machine the pods of other namespaces may have their own troubles.
    expect(rows.filter((row) => row.startsWith(only)).sort()).toEqual(expected.toSorted())
    return true
  })
}

/** Runs busybox in the network namespace of a pod. */
async function inNetworkOf({ containers }: LabPod, ...command: readonly string[]): Promise<void> {
  const busybox = join(await unpacked('containerd'), 'bin/busybox')
  await run('nsenter', ['-t', String(containers[0]?.pid), '-n', busybox, ...command])
}

const listening = (port: number): SocketPlan => ({ listen: [{ host: '0.0.0.0', port }] })

describeWith(['root', 'containerd', 'prometheus', 'bpf', 'etcd'], 'the queries of docs/recipes.md', () => {
  it("answer what they say, of real pods' sockets and a registrar's names", async () => {
    await using containerd = await Containerd.start()
    const pod = (namespace: string, name: string, plan: SocketPlan): Promise<LabPod> =>
      containerd.runPod({ namespace, name, containers: [socketContainer('main', plan)] })
    await using _queue = await OutsideQueue.listen(containerd.bridge.address)
    const postgres = await pod('db', 'postgres-0', listening(5432))
    const redis = await pod('db', 'redis-7f-x', listening(6379))
    const redisService = await addAddress(redis)
    const waiting = await pod('default', 'shop-2', listening(8081))
    const shop = await pod('default', 'shop-1', {
      ...listening(8080),
      connect: [
        { host: postgres.ip, port: 5432, established: 4 },
        { host: redisService, port: 6379, established: 2 },
        { host: containerd.bridge.address, port: 9092, established: 1 },
      ],
    })
    const other = await pod('default', 'other-1', {
      connect: [
        { host: postgres.ip, port: 5432, established: 3 },
        { host: shop.ip, port: 8080, established: 9 },
        { host: waiting.ip, port: 8081, halfClosed: 12 },
      ],
    })

    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.addNode({ name: 'node-1', internalIps: ['192.0.2.1'] })
    for (const { namespace, name, ip } of [postgres, redis, waiting, shop, other])
      kubernetes.addPod({ namespace, name, ip })
    kubernetes.addService('db', 'redis', redisService)

    const settings = { PEER_INFO: 'true', CONSUL_LISTEN: '0', LISTEN_ADDRESS: '127.0.0.1' }
    const ofRegistrar = await registrarSettings({ url: 'embedded' }, kubernetes, settings)
    await using registrar = await Program.start(['registrar'], ofRegistrar)
    await using replica = await Program.start(['registrar'], ofRegistrar)
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: containerd.socket,
      COLLECTORS: 'connections',
      CONNECTIONS_SOURCE: 'procfs',
    })
    const hosts = await Promise.all([registrar.url(), replica.url(), exporter.url()])
    await using prometheus = await Prometheus.start(`
scrape_configs:
  - job_name: both
    honor_labels: true
    scrape_interval: 1s
    static_configs:
      - targets: ${JSON.stringify(hosts.map((url) => url.slice('http://'.length)))}
        labels: { cluster: c1 }
`)

    const [byPort = '', named = ''] = recipe('Which databases, caches and queues does an application use?')
    const [users = ''] = recipe('Who uses this database?')
    const [hanging = '', towards = ''] = recipe('Who holds CLOSE_WAIT?')
    await becomes(
      prometheus,
      byPort,
      ['pod_name', 'remote_addr', 'what'],
      [
        `shop-1 ${postgres.ip} database 4`,
        `shop-1 ${redisService} cache 2`,
        `shop-1 ${containerd.bridge.address} queue 1`,
      ],
    )
    await becomes(
      prometheus,
      named,
      ['pod_name', 'kind', 'namespace', 'name'],
      ['shop-1 pod db postgres-0 4', 'shop-1 service db redis 2', 'shop-1 - - - 1'],
    )
    const ofThis = users.replace('10.0.3.7', postgres.ip)
    await becomes(
      prometheus,
      ofThis,
      ['pod_namespace', 'pod_name'],
      ['default other-1 3', 'default shop-1 4'],
    )
    await becomes(prometheus, hanging, ['pod_name', 'container'], ['shop-2 main 12'])
    await becomes(
      prometheus,
      towards,
      ['pod_name', 'remote_addr', 'remote_port'],
      [`shop-2 ${other.ip} 0 12`],
    )
  })

  it(
    'tell the network from the application, of pods that fail in one way each',
    { timeout: 120_000 },
    async () => {
      await using containerd = await Containerd.start()
      const shell = (name: string, script: string): Promise<LabPod> =>
        containerd.runPod({ namespace: 'lab', name, command: ['sh', '-c', script] })
      const silent = await shell('silent', 'nc -ll -p 7000 -e sleep 1000000')
      const server = await containerd.runPod({
        ...{ namespace: 'lab', name: 'closer' },
        containers: [
          socketContainer('main', { listen: [{ host: '0.0.0.0', port: 7001, close: true }] }),
          socketContainer('holder', { listen: [{ host: '0.0.0.0', port: 7002 }] }),
        ],
      })
      const nobody = server.ip.replace(/\.\d+\.\d+$/, '.251.251')
      await shell('refused', `while :; do nc ${server.ip} 9; sleep 0.2; done`)
      await shell('unreachable', `while :; do nc -w 5 ${nobody} 80; done`)
      await shell('loses', `while sleep 0.1; do echo hello; done | nc ${silent.ip} 7000`)
      await shell('no-pool', `while :; do nc ${server.ip} 7001 < /dev/null; sleep 0.05; done`)
      const halfClosed = [{ host: server.ip, port: 7002, halfClosed: 12 }]
      await containerd.runPod({
        ...{
          namespace: 'lab',
          name: 'leaver',
          containers: [socketContainer('main', { connect: halfClosed })],
        },
      })
      const pool = [{ host: server.ip, port: 7002, established: 5 }]
      await containerd.runPod({
        namespace: 'lab',
        name: 'shop-1',
        containers: [socketContainer('main', { connect: pool })],
      })
      await runRequestPods(containerd, 'web')
      await using exporter = await Program.start(['exporter'], {
        ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), CONNECTIONS_SOURCE: 'ebpf' },
        COLLECTORS: 'connections,sockstat,filesystem,tcp_health,http',
      })
      const url = await exporter.url()
      await using prometheus = await Prometheus.start(`
scrape_configs:
  - job_name: exporter
    honor_labels: true
    scrape_interval: 1s
    static_configs: [{ targets: ['${url.slice('http://'.length)}'] }]
`)
      await waitFor('the connection of "loses" to be followed', async () => {
        const sent = await prometheus.query('container_tcp_sent_bytes_total{pod="loses"} > 0')
        return sent.length > 0
      })
      // From now on nobody answers it.
      await inNetworkOf(silent, 'ip', 'link', 'set', 'eth0', 'down')

      const [verdict = '', distance = ''] = recipe('Is it the network or the application?')
      await becomes(
        prometheus,
        verdict,
        ['namespace', 'pod', 'verdict'],
        [
          'lab refused the application: nobody listens at its peer',
          'lab unreachable the network: its peer cannot be reached',
          'lab loses the network: packets are lost',
          'lab closer the application: it does not close what its peers have closed',
        ],
        { withValue: false, only: 'lab' },
      )
      await waitFor('how far its peers are', async () => {
        const near = await prometheus.query(distance)
        expect(near.map(({ metric }) => metric['pod'])).toEqual(['shop-1'])
        return Number(near[0]?.value[1]) < 1
      })

      const [opens = '', timeWait = ''] = recipe('Who opens a connection for every request?')
      for (const query of [opens, timeWait]) {
        const pods = await waitFor('the pod that opens them', async () => {
          const found = (await prometheus.query(query)).map(({ metric }) => metric['pod'])
          return found.includes('no-pool') ? found : undefined
        })
        for (const other of ['refused', 'loses', 'leaver', 'shop-1']) expect(pods).not.toContain(other)
      }
      const [failing = ''] = recipe('Which requests fail, and where?')
      const ofRequest = ['pod', 'http_request_method', 'http_route', 'http_response_status_code']
      await becomes(prometheus, failing, ofRequest, ['web-0 GET /fail 503'], { withValue: false })
      const [fullest = ''] = recipe('Which file system is full next?')
      const shares = await waitFor('file systems', async () => {
        const found = (await prometheus.query(fullest)).map(({ value }) => Number(value[1]))
        return found.length > 0 && found
      })
      for (const share of shares) expect(share >= 0 && share <= 1).toBe(true)
    },
  )

  it('are all of the page', () => {
    expect([...sections.values()].flat().filter((query) => !asked.has(query))).toEqual([])
  })
})
