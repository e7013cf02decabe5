/** podsonar itself, as a process, the way that users start it. */
import { fileURLToPath } from 'node:url'
import { Process } from './process.ts'
import { waitFor } from './wait.ts'

/** The program's entry point, executable as it is. */
export const entry: string = fileURLToPath(new URL('../src/main.ts', import.meta.url))

/** One JSON log record. */
export interface LogRecord {
  readonly level: string
  readonly event?: string
  readonly msg: string
  readonly [field: string]: unknown
}

export class Program implements AsyncDisposable {
  readonly process: Process

  private constructor(process: Process) {
    this.process = process
  }

  /**
   * Starts `podsonar ARGS` with `settings` as its environment (and PATH and HOME, nothing else of this process's).
   * Ports default to free ones.
   *
   * @param program the entry point, for one that was built elsewhere; with words before it, for one that starts it
   */
  static async start(
    args: readonly string[],
    settings: Readonly<Record<string, string>>,
    program: string | readonly [string, ...string[]] = entry,
  ): Promise<Program> {
    const { PATH, HOME } = process.env
    const env = { PATH, HOME, PORT: '0', OPS_PORT: '0', LOG_FORMAT: 'json', ...settings }
    const [command, ...before] = typeof program === 'string' ? [program] : program
    const name = `podsonar ${args.join(' ')}`
    return new Program(await Process.start(name, command, [...before, ...args], { env }))
  }

  /** The log so far. */
  get log(): LogRecord[] {
    return this.process.stderr.split('\n').flatMap((line) => {
      try {
        return [JSON.parse(line) as LogRecord]
      } catch {
        return []
      }
    })
  }

  /** Waits until the program listens for `setting`, and gives `http://127.0.0.1:<port>`. */
  async url(setting: 'PORT' | 'OPS_PORT' | 'CONSUL_LISTEN' = 'PORT'): Promise<string> {
    const { port } = await this.logged('listening', (record) => record['setting'] === setting)
    return `http://127.0.0.1:${String(port)}`
  }

  /** Waits for a log record of an event. */
  async logged(event: string, where: (record: LogRecord) => boolean = () => true): Promise<LogRecord> {
    const found = await waitFor(`${this.process.name} to log ${event}`, () => {
      const record = this.log.find((one) => one.event === event && where(one))
      if (record === undefined && !this.process.running) return 'ended' as const
      return record
    })
    if (found === 'ended')
      throw new Error(
        `${this.process.name} ended before it logged ${event}: ${this.process.stderr.slice(-2_000)}`,
      )
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}
