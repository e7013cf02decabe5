/** `podsonar monitor` as a process, and what it prints. */
import { libbpfFile } from '../../lab/needs.ts'
import { Process } from '../../lab/process.ts'
import { entry } from '../../lab/program.ts'
import { waitFor } from '../../lab/wait.ts'

export type Json = Readonly<Record<string, unknown>>

export interface MonitorOptions {
  /** Words before the program, as of setpriv. */
  readonly before?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** @param runtime path of the socket of the container runtime */
export function startMonitor(
  runtime: string,
  args: readonly string[],
  { before = [], env = {} }: MonitorOptions = {},
): Promise<Process> {
  const [command = entry, ...rest] = [...before, entry, 'monitor', ...args]
  return Process.start('podsonar monitor', command, rest, { env: { ...monitorEnvironment(runtime), ...env } })
}

export function monitorEnvironment(runtime: string): Record<string, string | undefined> {
  const { PATH, HOME } = process.env
  return { PATH, HOME, RUNTIME_ENDPOINT: runtime, LIBBPF_PATH: libbpfFile() }
}

/** Waits until it watches; it was started with --json. */
export async function hasBegun(watching: Process): Promise<void> {
  await waitFor('the monitor to begin', () => {
    if (!watching.running) throw new Error(watching.stderr)
    return watching.stdout.includes('"begin"')
  })
}

/** What it has told with --json. */
export function objectsOf({ stdout }: Process): Json[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Json)
}

/** Ends it as Ctrl-C does; gives its totals. */
export async function totalsOf(watching: Process): Promise<Json> {
  watching.kill('SIGINT')
  const { code } = await watching.exited
  if (code !== 0) throw new Error(`podsonar monitor ended with ${String(code)}: ${watching.stderr}`)
  return objectsOf(watching).at(-1) ?? {}
}
