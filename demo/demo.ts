/** The whole demo, standing: a cluster, a directory, the three modes as real processes, and who looks at it all. */
import { freePorts } from '../lab/ports.ts'
import { Program } from '../lab/program.ts'
import type { DemoCluster } from './cluster.ts'
import { startContainers } from './containers.ts'
import { serviceNames, startDirectory, startView, type Directory } from './directory.ts'
import { step } from './screen.ts'
import type { SeenTarget, TargetView } from './target-view.ts'

export class Demo implements AsyncDisposable {
  readonly cluster: DemoCluster
  readonly directory: Directory
  /** What the exporter shows of this machine: `containerd 1.6.20, 4 pods`. */
  readonly containers: string
  /** Names and addresses of the pages to open. */
  readonly links: readonly (readonly [string, string])[]
  readonly #owned: AsyncDisposableStack
  readonly #view: TargetView
  readonly #programs: readonly Program[]

  private constructor(
    owned: AsyncDisposableStack,
    parts: {
      cluster: DemoCluster
      directory: Directory
      containers: string
      view: TargetView
      programs: readonly Program[]
      links: readonly (readonly [string, string])[]
    },
  ) {
    this.#owned = owned
    this.cluster = parts.cluster
    this.directory = parts.directory
    this.containers = parts.containers
    this.links = parts.links
    this.#view = parts.view
    this.#programs = parts.programs
  }

  /** @param startCluster gets the port on which this machine's exporter is to be scraped */
  static async start(startCluster: (exporterPort: number) => Promise<DemoCluster>): Promise<Demo> {
    await using owned = new AsyncDisposableStack()
    const [exporterPort = 0, proxyPort = 0] = await freePorts(2)
    const directory = owned.use(await startDirectory())
    const cluster = owned.use(await startCluster(exporterPort))
    step(`${cluster.description} answers`)
    const containers = owned.use(await startContainers())
    step(`containers for the exporter: ${containers.description}`)

    const kubernetes = { KUBECONFIG: cluster.kubeconfig }
    const exporter = owned.use(
      await Program.start(['exporter'], {
        ...{ PORT: String(exporterPort), NODE_NAME: 'node-1' },
        ...containers.settings,
      }),
    )
    const proxy = owned.use(
      await Program.start(['proxy'], { ...kubernetes, PORT: String(proxyPort), ...cluster.settings.proxy }),
    )
    const registrar = owned.use(
      await Program.start(['registrar'], {
        ...kubernetes,
        ...serviceNames,
        ...directory.settings,
        CLUSTER_NAME: cluster.name,
        SHARD_PATHS: 'shard-1,shard-2',
        NODE_PROXY_PORT: String(proxyPort),
        ...cluster.settings.registrar,
      }),
    )
    const links: (readonly [string, string])[] = [
      ['registrar', await registrar.url()],
      ['proxy', await proxy.url('OPS_PORT')],
      ['exporter', await exporter.url()],
    ]
    step('podsonar registrar, proxy and exporter run')
    const view = owned.use(await startView(directory))
    if (view.url !== undefined) links.push(['Prometheus', view.url])
    links.push([
      directory.name.split(' ')[0] ?? '',
      `${directory.url}${directory.name.startsWith('Consul') ? '/ui' : '/v1/catalog/services'}`,
    ])
    const parts = {
      cluster,
      directory,
      containers: containers.description,
      view,
      programs: [registrar, proxy, exporter],
      links,
    }
    return new Demo(owned.move(), parts)
  }

  /** @throws Error when one of the three programs has ended. */
  async targets(): Promise<readonly SeenTarget[]> {
    const ended = this.#programs.find(({ process }) => !process.running)
    if (ended !== undefined)
      throw new Error(`${ended.process.name} ended: ${ended.process.stderr.slice(-1_000)}`)
    return this.#view.targets()
  }

  /** Who looks: `Prometheus`. */
  get viewer(): string {
    return this.#view.name
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
