/** A node of the same shop, for the exporter's page: real pods on a private containerd, with real connections. */
import { Containerd, type LabPod } from '../../lab/containerd.ts'
import { libbpfFile } from '../../lab/needs.ts'
import { socketContainer } from '../../lab/pod-programs.ts'
import type { Connections, SocketPlan } from '../../lab/pod-sockets.ts'
import { Program } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'

export class Node implements AsyncDisposable {
  /** Where the exporter's page is. */
  readonly exporter: string
  readonly #owned: AsyncDisposableStack

  private constructor(exporter: string, owned: AsyncDisposableStack) {
    this.exporter = exporter
    this.#owned = owned
  }

  static async start(): Promise<Node> {
    await using owned = new AsyncDisposableStack()
    const containerd = owned.use(await Containerd.start())
    const pod = (namespace: string, name: string, plan: SocketPlan): Promise<LabPod> =>
      containerd.runPod({ namespace, name, containers: [socketContainer(name.replace(/-.*/, ''), plan)] })
    const at = (port: number): SocketPlan => ({ listen: [{ host: '0.0.0.0', port }] })
    const to = ({ ip }: LabPod, port: number, established: number, halfClosed = 0): Connections => ({
      ...{ host: ip, port, established, halfClosed },
    })
    const postgres = await pod('data', 'postgres-0', at(5432))
    const redis = await pod('data', 'redis-0', at(6379))
    const kafka = await pod('data', 'kafka-0', at(9092))
    const orders = await pod('shop', 'orders-7c5ddb9f7-b7t3k', {
      ...at(8080),
      connect: [to(postgres, 5432, 12), to(kafka, 9092, 3)],
    })
    const api = await pod('payments', 'api-66c4f8b5d-c7t4k', {
      ...at(8443),
      connect: [to(postgres, 5432, 6)],
    })
    const checkout = await pod('shop', 'checkout-5f7c9b6d8-d2t5k', {
      ...at(8081),
      connect: [to(orders, 8080, 8), to(api, 8443, 4), to(redis, 6379, 2)],
    })
    await pod('shop', 'web-6d9467768-x9t6k', {
      // What these ask for ends before checkout has noticed: it is left with them in CLOSE_WAIT.
      connect: [to(checkout, 8081, 3, 40), to(redis, 6379, 20), to(orders, 8080, 5)],
    })
    const exporter = owned.use(
      await Program.start(['exporter'], {
        ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), NODE_NAME: 'node-3' },
        LISTEN_ADDRESS: '127.0.0.1',
      }),
    )
    const url = await exporter.url()
    await waitFor('all sockets to be there', async () => {
      await fetch(`${url}/metrics`).then((response) => response.text())
      return /40 in CLOSE_WAIT|40<\/td>/.test(await (await fetch(url)).text())
    })
    return new Node(url, owned.move())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
