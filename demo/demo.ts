/** The whole demo, standing: a cluster, a directory, the three modes as real processes, and who looks at it all. */
import { freePorts } from '../lab/ports.ts'
import { Program } from '../lab/program.ts'
import type { DemoCluster } from './cluster.ts'
import { startContainers } from './containers.ts'
import { serviceNames, startDirectory, startView, type Directory } from './directory.ts'
import { step } from './screen.ts'
import type { SeenTarget, TargetView } from './target-view.ts'

export interface DemoOptions {
  /** Gets the port on which this machine's exporter is to be scraped. */
  readonly startCluster: (exporterPort: number) => Promise<DemoCluster>
  /** The embedded catalog and a small reader even where Consul and Prometheus can be had. */
  readonly embedded: boolean
  /** Ends the set-up where it stands. */
  readonly signal: AbortSignal
}

/** What the demo is made of. */
interface DemoParts {
  readonly cluster: DemoCluster
  readonly directory: Directory
  /** What the exporter looks at, for people. */
  readonly containers: string
  readonly view: TargetView
  readonly programs: readonly Program[]
  /** Names and addresses of the pages to open. */
  readonly links: readonly (readonly [string, string])[]
}

export class Demo implements AsyncDisposable {
  readonly parts: DemoParts
  readonly #owned: AsyncDisposableStack

  private constructor(owned: AsyncDisposableStack, parts: DemoParts) {
    this.#owned = owned
    this.parts = parts
  }

  /** @throws the signal's reason when it is aborted; then all that was started is closed */
  static async start({ startCluster, embedded, signal }: DemoOptions): Promise<Demo> {
    await using owned = new AsyncDisposableStack()
    const [exporterPort = 0, proxyPort = 0] = await freePorts(2)
    const directory = owned.use(await startDirectory(embedded))
    const cluster = owned.use(await startCluster(exporterPort))
    signal.throwIfAborted()
    const containers = owned.use(await startContainers())
    signal.throwIfAborted()

    const start = async (mode: string, settings: Readonly<Record<string, string>>): Promise<Program> =>
      owned.use(await Program.start([mode], { KUBECONFIG: cluster.kubeconfig, ...settings }))
    const exporter = await start('exporter', {
      ...{ PORT: String(exporterPort), NODE_NAME: 'node-1' },
      ...containers.settings,
    })
    const proxy = await start('proxy', { PORT: String(proxyPort), ...cluster.settings.proxy })
    const registrar = await start('registrar', {
      ...serviceNames,
      ...directory.settings,
      CLUSTER_NAME: cluster.name,
      SHARD_PATHS: 'shard-1,shard-2',
      NODE_PROXY_PORT: String(proxyPort),
      ...cluster.settings.registrar,
    })
    const pages = await step('starting podsonar as registrar, proxy and exporter', () =>
      Promise.all([registrar.url(), proxy.url('OPS_PORT'), exporter.url()]),
    )
    const view = owned.use(await startView(directory, embedded))
    const [registrarPage, proxyPage, exporterPage] = pages
    const links = [
      ['registrar', registrarPage],
      ['proxy', proxyPage],
      ['exporter', exporterPage],
      [directory.name, directory.page],
      ...(view.url === undefined ? [] : [[view.name, view.url] as const]),
    ] as const
    const programs = [registrar, proxy, exporter]
    return new Demo(owned.move(), {
      cluster,
      directory,
      containers: containers.description,
      view,
      programs,
      links,
    })
  }

  /** @throws Error when one of the three programs has ended. */
  async targets(): Promise<readonly SeenTarget[]> {
    const ended = this.parts.programs.find(({ process }) => !process.running)
    if (ended !== undefined)
      throw new Error(`${ended.process.name} ended: ${ended.process.stderr.slice(-1_000)}`)
    return this.parts.view.targets()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
