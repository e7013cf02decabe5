/** `podsonar capture` on a node: it captures by itself. */
import { open } from 'node:fs/promises'
import type { Logger } from '../common/logger.ts'
import { Procfs } from '../exporter/procfs.ts'
import { Runtimes, type RuntimesOptions } from '../exporter/runtimes/runtimes.ts'
import { PreparedCapture, type CaptureOutcome } from './capture.ts'
import type { CaptureCommand } from './core/arguments.ts'
import { NodePods, type CaptureTarget } from './node-pods.ts'
import type { CaptureOutput } from './outputs.ts'
import type { Progress } from './progress.ts'

/** The kernel's buffer of each capture, in bytes. */
const bufferBytes = 67_108_864
/** How long a runtime may take to answer whether this is a node, in milliseconds. */
const lookMs = 3_000

export interface NodeSettings extends Omit<RuntimesOptions, 'log'> {
  readonly procPath: string
}

/** This node, for captures. */
export class Node implements Disposable {
  readonly #pods: NodePods
  readonly #runtimes: Runtimes

  /** @throws SettingsError when PROC_PATH is none */
  constructor({ procPath, ...settings }: NodeSettings, log: Logger) {
    this.#runtimes = new Runtimes({ ...settings, log })
    this.#pods = new NodePods({ procfs: Procfs.open(procPath), runtimes: this.#runtimes })
  }

  /** Whether containers run here that this user may look at. */
  async isNode(): Promise<boolean> {
    return process.getuid?.() === 0 && (await this.#runtimes.list(lookMs)) !== undefined
  }

  /**
   * Finds what is to be captured, and compiles the filter for each before anything starts.
   *
   * @throws PodsonarError as `NodePods.find` and `PreparedCapture.open`
   */
  async prepare(command: CaptureCommand): Promise<NodeCapture> {
    using owned = new DisposableStack()
    const prepared: PreparedCapture[] = []
    for (const target of await this.#targets(command))
      prepared.push(owned.use(await PreparedCapture.open(this.#pods, target, command.options, bufferBytes)))
    return new NodeCapture(owned.move(), prepared, command)
  }

  #targets({ subject, namespace: given }: CaptureCommand): Promise<CaptureTarget[]> {
    const pods = this.#pods
    const namespace = given ?? 'default'
    const isOfNamespace = (pod: { namespace: string } | undefined): boolean =>
      given === undefined || pod?.namespace === given
    switch (subject.kind) {
      case 'pod':
        return subject.allContainers
          ? pods.ofContainers((pod) => pod?.namespace === namespace && pod.name === subject.name)
          : pods.find(namespace, subject.name).then((target) => [target])
      case 'selector':
        return pods.select(namespace, subject.selector.parsed)
      case 'all':
        return pods.ofContainers(isOfNamespace)
      case 'pid':
        return Promise.resolve([pods.ofProcess(subject.pid)])
    }
  }

  [Symbol.dispose](): void {
    this.#runtimes[Symbol.dispose]()
  }
}

/** Captures that may begin. */
export class NodeCapture implements Disposable {
  readonly #owned: DisposableStack
  readonly #prepared: readonly PreparedCapture[]
  readonly #command: CaptureCommand

  constructor(owned: DisposableStack, prepared: readonly PreparedCapture[], command: CaptureCommand) {
    this.#owned = owned
    this.#prepared = prepared
    this.#command = command
  }

  get labels(): string[] {
    return this.#prepared.map(({ target }) => target.label)
  }

  /** Captures one pod into a file, which tcpdump writes by itself. @throws the file system's error */
  async toFile(path: string, progress: Progress, signal: AbortSignal): Promise<CaptureOutcome[]> {
    const [capture] = this.#prepared
    if (capture === undefined) return []
    const { label } = capture.target
    // Packets are nobody else's business.
    await using file = await open(path, 'w+', 0o600)
    const outcome = await capture.toFile(file.fd, { ...this.#command, signal }, (now) => {
      progress.update(label, now)
    })
    progress.finished(label, outcome)
    return [outcome]
  }

  /** Captures all. */
  to(output: CaptureOutput, progress: Progress, signal: AbortSignal): Promise<CaptureOutcome[]> {
    return Promise.all(
      this.#prepared.map(async (capture) => {
        const { label } = capture.target
        const outcome = await capture.relay(
          output.sinkFor(label),
          { ...this.#command, signal },
          {
            onProgress: (now) => {
              progress.update(label, now)
            },
          },
        )
        output.finish(label, outcome)
        progress.finished(label, outcome)
        return outcome
      }),
    )
  }

  [Symbol.dispose](): void {
    this.#owned.dispose()
  }
}
