/** A child process with one owner: its output is kept, and disposing of it ends it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

export interface StartOptions {
  /** The whole environment of the process. @default that of this one */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * What still runs. Children have process groups of their own, so that a Ctrl-C reaches only their owner, which ends them
 * in its order; whatever way this process ends, none stays behind.
 */
const living = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/** How much of its output is kept, in characters. */
const keptOutput = 1_000_000

export class Process implements AsyncDisposable {
  readonly name: string
  readonly pid: number
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''

  private constructor(name: string, child: ChildProcess, pid: number) {
    this.name = name
    this.pid = pid
    this.#child = child
    child.stdout
      ?.setEncoding('utf8')
      .on('data', (text: string) => (this.#stdout = (this.#stdout + text).slice(-keptOutput)))
    child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => (this.#stderr = (this.#stderr + text).slice(-keptOutput)))
    living.add(child)
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        living.delete(child)
        resolve({ code, signal })
      })
    })
  }

  /** @throws Error when the program cannot be started. */
  static async start(
    name: string,
    command: string,
    args: readonly string[],
    options: StartOptions = {},
  ): Promise<Process> {
    const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    await once(child, 'spawn')
    if (child.pid === undefined) throw new Error(`Cannot start ${name}: no process id`)
    return new Process(name, child, child.pid)
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** SIGTERM, and SIGKILL when that is not enough for 10 s. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return
    this.kill('SIGTERM')
    const hard = setTimeout(() => {
      this.kill('SIGKILL')
    }, 10_000)
    await this.exited
    clearTimeout(hard)
  }
}

/**
 * Runs a program to its end and gives what it printed.
 *
 * @throws Error with its stderr when it does not exit with 0
 */
export async function run(
  command: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<string> {
  const started = await Process.start(command, command, args, options)
  const { code, signal } = await started.exited
  if (code !== 0) {
    throw new Error(
      `${[command, ...args].join(' ').slice(0, 500)} ended with ${code ?? signal ?? 'nothing'}: ${started.stderr.slice(-2_000)}`,
    )
  }
  return started.stdout
}
