/** A cgroup of the version 2 hierarchy, as a container has one, for processes that shall be told from all others. Needs root. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Process, type StartOptions } from './process.ts'
import { waitFor } from './wait.ts'

let last = 0

export class WatchedCgroup implements AsyncDisposable {
  /** By which the kernel marks its sockets. */
  readonly id: number
  /** Its folder. */
  readonly path: string

  private constructor(path: string) {
    this.path = path
    this.id = statSync(path).ino
  }

  static async create(): Promise<WatchedCgroup> {
    const root = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((folder) =>
      existsSync(join(folder, 'cgroup.controllers')),
    )
    if (root === undefined) throw new Error('Cannot make a cgroup: no version 2 hierarchy is mounted')
    const path = join(root, `podsonar-lab-${process.pid}-${++last}`)
    await mkdir(path)
    return new WatchedCgroup(path)
  }

  /** Starts a process in it; its children are in it too. */
  start(name: string, command: string, args: readonly string[], options?: StartOptions): Promise<Process> {
    const enter = `echo $$ > '${join(this.path, 'cgroup.procs')}' && exec "$0" "$@"`
    return Process.start(name, '/bin/sh', ['-c', enter, command, ...args], options)
  }

  /** Ids of its processes. */
  pids(): number[] {
    const text = readFileSync(join(this.path, 'cgroup.procs'), 'utf8').trim()
    return text === '' ? [] : text.split('\n').map(Number)
  }

  /** Processor time that its processes have taken, in nanoseconds: /proc/PID/task/TID/schedstat. */
  cpuNs(): number {
    let sum = 0
    for (const pid of this.pids())
      for (const task of readdirSync(`/proc/${pid}/task`))
        sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
    return sum
  }

  /** Removes it, once its processes have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await waitFor(
      'the processes of a cgroup to end',
      () => readFileSync(join(this.path, 'cgroup.procs'), 'utf8') === '',
    )
    await waitFor('the cgroup to be removed', () => rmdir(this.path).then(() => true))
  }
}
