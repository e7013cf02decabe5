import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { unpacked } from '../../../lab/needs.ts'
import { socketContainer } from '../../../lab/pod-programs.ts'
import type { SocketPlan } from '../../../lab/pod-sockets.ts'
import { run } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
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
async function addAddress({ containers, ip }: LabPod): Promise<string> {
  const address = ip.replace(/\.\d+\.\d+$/, '.250.250')
  const busybox = join(await unpacked('containerd'), 'bin/busybox')
  const pid = String(containers[0]?.pid)
  await run('nsenter', ['-t', pid, '-n', busybox, 'ip', 'addr', 'add', `${address}/16`, 'dev', 'eth0'])
  return address
}

const listening = (port: number): SocketPlan => ({ listen: [{ host: '0.0.0.0', port }] })

describeWith(['root', 'containerd', 'prometheus'], 'the queries of docs/exporter.md', () => {
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

    const text = await readFile(new URL('../../../docs/exporter.md', import.meta.url), 'utf8')
    const [byPort = '', named = '', hanging = ''] = [...text.matchAll(/```promql\n(.*?)```/gs)].map(
      ([, query = '']) => query,
    )
    const answer = async (query: string, ...labels: string[]): Promise<string[]> =>
      (await prometheus.query(query))
        .map(({ metric, value }) => [...labels.map((label) => metric[label] ?? '-'), value[1]].join(' '))
        .sort()
    const becomes = (
      query: string,
      labels: readonly string[],
      expected: readonly string[],
    ): Promise<boolean> =>
      waitFor(`the answer ${JSON.stringify(expected)}`, async () => {
        expect(await answer(query, ...labels)).toEqual(expected.toSorted())
        return true
      })
    await becomes(
      byPort,
      ['pod_name', 'remote_addr', 'what'],
      [
        `shop-1 ${postgres.ip} database 4`,
        `shop-1 ${redisService} cache 2`,
        `shop-1 ${containerd.bridge.address} queue 1`,
      ],
    )
    await becomes(
      named,
      ['pod_name', 'kind', 'namespace', 'name'],
      ['shop-1 pod db postgres-0 4', 'shop-1 service db redis 2', 'shop-1 - - - 1'],
    )
    await becomes(hanging, ['pod_name', 'container'], ['shop-2 main 12'])
  })
})
