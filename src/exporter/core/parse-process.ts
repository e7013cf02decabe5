/** Files of one process: /proc/PID/stat and /proc/PID/cgroup, see proc(5) and cgroups(7). */
import { PodsonarError } from '../../common/errors.ts'

/**
 * The start time of a process, field 22 of its stat: with the process id it names a process for good.
 *
 * @returns clock ticks since boot, as text
 * @throws PodsonarError `malformed_proc_file`
 */
export function parseStartTime(stat: string): string {
  return numberField(stat, 22)
}

/**
 * Number of threads of a process, field 20 of its stat.
 *
 * @throws PodsonarError `malformed_proc_file`
 */
export function parseThreads(stat: string): number {
  return Number(numberField(stat, 20))
}

function numberField(stat: string, field: number): string {
  // The second field is the program's name in parentheses, and may hold blanks and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const value = fields[field - 3]
  if (value === undefined || !/^\d+$/.test(value) || fields.length < 22)
    throw new PodsonarError(
      'malformed_proc_file',
      `Cannot read stat: ${JSON.stringify(stat.slice(0, 100))}, expected 52 fields as in proc(5)`,
    )
  return value
}

/** The cgroups of a process, as seen from the reader's cgroup namespace. */
export interface Cgroups {
  /** Path in the unified hierarchy; undefined where there is none. */
  readonly unified: string | undefined
  /** Path by controller of the version 1 hierarchies; `name=systemd` counts as one. */
  readonly byController: ReadonlyMap<string, string>
}

/**
 *     4:memory:/kubepods/…
 *     1:name=systemd:/kubepods/…
 *     0::/kubepods/…
 *
 * @throws PodsonarError `malformed_proc_file`
 */
export function parseCgroups(text: string): Cgroups {
  let unified: string | undefined
  const byController = new Map<string, string>()
  const lines = text.split('\n')
  // What is behind the last newline is a cut line, or nothing.
  for (const line of lines.at(-1) === '' && lines.length > 1 ? lines.slice(0, -1) : lines) {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line)
    const [, id, controllers = '', path = ''] = match ?? []
    if (match === null || !text.endsWith('\n'))
      throw new PodsonarError(
        'malformed_proc_file',
        `Cannot read cgroup: ${JSON.stringify(line.slice(0, 100))}, expected lines as in cgroups(7)`,
      )
    if (id === '0' && controllers === '') unified = path
    else for (const controller of controllers.split(',')) byController.set(controller, path)
  }
  return { unified, byController }
}

/** The path by which cAdvisor names a container (`id` label): of the memory controller, else the unified one. */
export function cgroupName({ unified, byController }: Cgroups): string {
  const path = byController.get('memory') ?? byController.get('cpu') ?? unified ?? ''
  return path === '/' ? (unified ?? path) : path
}
