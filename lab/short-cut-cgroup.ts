/** A cgroup whose connections are short-cut by a process of its own. */
import { fileURLToPath } from 'node:url'
import { libbpfFile } from './needs.ts'
import { Process } from './process.ts'
import { waitFor } from './wait.ts'
import { WatchedCgroup } from './watched-cgroup.ts'
import type { SockopsReading } from '../src/exporter/ebpf/sockops-program.ts'

const holder = fileURLToPath(new URL('sockops-holder.ts', import.meta.url))

export class ShortCutCgroup implements AsyncDisposable {
  readonly cgroup: WatchedCgroup
  readonly holder: Process
  readonly #owned: AsyncDisposableStack

  private constructor(owned: AsyncDisposableStack, cgroup: WatchedCgroup, started: Process) {
    this.#owned = owned
    this.cgroup = cgroup
    this.holder = started
  }

  static async start(): Promise<ShortCutCgroup> {
    await using owned = new AsyncDisposableStack()
    const cgroup = owned.use(await WatchedCgroup.create())
    const args = [holder, libbpfFile(), cgroup.path]
    const started = owned.use(await Process.start('holder', process.execPath, args))
    await waitFor('the programs to be attached', () => {
      if (!started.running) throw new Error(started.stderr)
      return started.stdout.includes('\n')
    })
    return new ShortCutCgroup(owned.move(), cgroup, started)
  }

  /** Runs a program in the cgroup to its end, and gives its output. */
  async run(command: string, args: readonly string[]): Promise<string> {
    await using started = await this.cgroup.start('case', command, args)
    const { code } = await started.exited
    if (code !== 0) throw new Error(`the case ended with ${code ?? 'a signal'}: ${started.stderr}`)
    return started.stdout
  }

  /** The last figures that the holder printed. */
  get reading(): SockopsReading {
    const line = this.holder.stdout.split('\n').findLast((one) => one.includes('"messages"'))
    return JSON.parse(line ?? '{}') as SockopsReading
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
