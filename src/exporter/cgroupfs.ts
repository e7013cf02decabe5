import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Cgroups } from './core/parse-process.ts'

/** The sole reader of the cgroup file systems. */
export class Cgroupfs {
  /** Where the version 2 hierarchy is; undefined: nowhere. */
  readonly #unified: string | undefined

  /** @param root the host's /sys/fs/cgroup: the unified hierarchy itself, or a folder of hierarchies */
  constructor(root: string) {
    this.#unified = [root, join(root, 'unified')].find((folder) => existsSync(join(folder, 'cgroup.procs')))
  }

  /** Id of a cgroup v2, by which the kernel marks sockets; 0 when it cannot be known. */
  idOf({ unified }: Cgroups): number {
    // `/../…`: seen from another cgroup namespace; `/`: not in a cgroup of its own.
    if (this.#unified === undefined || unified === undefined || unified === '/' || unified.startsWith('/..'))
      return 0
    return statSync(join(this.#unified, unified), { throwIfNoEntry: false })?.ino ?? 0
  }
}
