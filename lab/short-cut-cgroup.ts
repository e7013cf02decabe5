/** Cgroups whose connections are short-cut by a process of its own. */
import { fileURLToPath } from 'node:url'
import { libbpfFile } from './needs.ts'
import { Process } from './process.ts'
import { Turn } from './turn.ts'
import { waitFor } from './wait.ts'
import { WatchedCgroup } from './watched-cgroup.ts'
import type { SockopsReading } from '../src/exporter/ebpf/sockops-program.ts'

const holder = fileURLToPath(new URL('sockops-holder.ts', import.meta.url))

export interface ShortCutOptions {
  /** How many more cgroups there are. @default 0 */
  readonly others?: number
  /** As SockopsPrograms takes it. @default 0 */
  readonly observeSeconds?: number
  /** As SockopsPrograms takes it. */
  readonly maxConnections?: number
  /** What the process is started by, as `setpriv …`. */
  readonly wrapper?: readonly string[]
}

/** What the process prints, some times a second. */
export interface ShortCutReading extends SockopsReading {
  /** Programs of somebody else, because of which cgroups were left alone. */
  readonly taken: readonly string[]
  /** When it began to read, in nanoseconds of the monotonic clock. */
  readonly at: number
}

export class ShortCutCgroup implements AsyncDisposable {
  readonly cgroup: WatchedCgroup
  readonly others: readonly WatchedCgroup[]
  readonly holder: Process
  readonly #owned: AsyncDisposableStack

  private constructor(
    owned: AsyncDisposableStack,
    cgroup: WatchedCgroup,
    others: readonly WatchedCgroup[],
    started: Process,
  ) {
    this.#owned = owned
    this.cgroup = cgroup
    this.others = others
    this.holder = started
  }

  /** @throws Error with what the process said when it could not begin */
  static async start(options: ShortCutOptions = {}): Promise<ShortCutCgroup> {
    const { others = 0, observeSeconds = 0, maxConnections, wrapper = [] } = options
    await using owned = new AsyncDisposableStack()
    // Whether there are programs of somebody else is looked at when it begins.
    await using _turn = await Turn.shared('sockops')
    const cgroup = owned.use(await WatchedCgroup.create())
    const further: WatchedCgroup[] = []
    while (further.length < others) further.push(owned.use(await WatchedCgroup.create()))
    const given = JSON.stringify({ libbpf: libbpfFile(), observeSeconds, maxConnections })
    const [command, ...args] = [...wrapper, process.execPath, holder, given]
    const folders = [cgroup, ...further].map(({ path }) => path)
    const started = owned.use(await Process.start('holder', command, [...args, ...folders]))
    const begun = (): boolean => started.stdout.includes('\n')
    await waitFor('the programs to be attached', () => begun() || !started.running)
    if (!begun()) throw new Error((await started.exited, started.stderr))
    return new ShortCutCgroup(owned.move(), cgroup, further, started)
  }

  /** Runs a program in a cgroup to its end, and gives its output. */
  async run(command: string, args: readonly string[], cgroup = this.cgroup): Promise<string> {
    await using started = await cgroup.start('case', command, args)
    const { code } = await started.exited
    if (code !== 0) throw new Error(`the case ended with ${code ?? 'a signal'}: ${started.stderr}`)
    return started.stdout
  }

  /** The last figures that the holder printed. */
  get reading(): ShortCutReading {
    const line = this.holder.stdout.split('\n').findLast((one) => one.includes('"messages"'))
    return JSON.parse(line ?? '{}') as ShortCutReading
  }

  /** Figures that hold all that was done before. */
  async nextReading(): Promise<ShortCutReading> {
    const now = Number(process.hrtime.bigint())
    return waitFor('new figures', () => this.reading.at > now && this.reading)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
