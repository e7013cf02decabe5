import type { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import type { Logger, LogFields } from '../../../src/common/logger.ts'
import { KubernetesClient } from '../../../src/kubernetes/client.ts'
import { loadClusterConfig } from '../../../src/kubernetes/cluster-config.ts'
import { ListAndWatch, type ListAndWatchOptions } from '../../../src/kubernetes/list-and-watch.ts'
import type { PodRecord } from '../../../src/kubernetes/records.ts'
import { pods } from '../../../src/kubernetes/resource.ts'
import type { Change } from '../../../src/kubernetes/source.ts'

/** A source of pods that follows a simulated API server, and all that it told. */
export class Following implements AsyncDisposable {
  readonly source: ListAndWatch<PodRecord>
  readonly changes: Change<PodRecord>[] = []
  readonly problems: (string | undefined)[] = []
  readonly log: (LogFields & { message: string })[] = []
  readonly #owned: AsyncDisposableStack

  private constructor(owned: AsyncDisposableStack, make: (log: Logger) => ListAndWatch<PodRecord>) {
    this.#owned = owned
    const write = (fields: LogFields, message: string): void => void this.log.push({ ...fields, message })
    const log: Logger = { debug: write, info: write, warn: write, error: write, child: () => log }
    this.source = owned.use(make(log))
    this.source.subscribe((changes) => {
      this.changes.push(...changes)
      if (this.source.problem !== this.problems.at(-1)) this.problems.push(this.source.problem)
    })
  }

  static async start(
    kubernetes: SimulatedKubernetes,
    options: Partial<ListAndWatchOptions<PodRecord>> = {},
  ): Promise<Following> {
    await using owned = new AsyncDisposableStack()
    const config = loadClusterConfig({ kubeconfig: await kubernetes.kubeconfig() })
    const client = owned.use(new KubernetesClient(config))
    const kept = owned.move()
    const common = { client, resource: pods, retryMs: 20 }
    return new Following(kept, (log) => ListAndWatch.start({ ...common, log, ...options }))
  }

  /** The names that are held, sorted. */
  get names(): string[] {
    return [...this.source.objects.values()].map(({ name }) => name).sort()
  }

  /** `added a`, `removed b` … so far. */
  get told(): string[] {
    return this.changes.map(({ type, object }) => `${type} ${object.name}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
