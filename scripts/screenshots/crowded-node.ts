/** A node with 300 pods, for the map on the exporter's page. */
import { Containerd } from '../../lab/containerd.ts'
import { crowd } from '../../lab/crowded-node.ts'
import { libbpfFile } from '../../lab/needs.ts'
import { Program } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'

export class CrowdedNode implements AsyncDisposable {
  /** Where the exporter's page is. */
  readonly exporter: string
  readonly #owned: AsyncDisposableStack

  private constructor(exporter: string, owned: AsyncDisposableStack) {
    this.exporter = exporter
    this.#owned = owned
  }

  static async start(): Promise<CrowdedNode> {
    await using owned = new AsyncDisposableStack()
    const containerd = owned.use(await Containerd.start())
    const { connections } = await crowd(containerd, 300)
    const exporter = owned.use(
      await Program.start(['exporter'], {
        ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), NODE_NAME: 'node-7' },
        LISTEN_ADDRESS: '127.0.0.1',
      }),
    )
    const url = await exporter.url()
    const sockets = /([0-9]+) sockets from/
    const isWhole = async (): Promise<boolean> =>
      Number(sockets.exec(await (await fetch(url)).text())?.[1] ?? 0) >= 2 * connections
    await waitFor('all connections to stand', isWhole, { timeoutMs: 60_000 })
    return new CrowdedNode(url, owned.move())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
