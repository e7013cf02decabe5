/** For benchmarks of a program whose scene (containerd, runc, clients) has to share a few processors with it. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'

const autogroup = '/proc/sys/kernel/sched_autogroup_enabled'

/** Sets the nice value of each thread of this process; what it starts inherits it. */
export function giveWay(nice: number): void {
  for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), nice)
}

/**
 * Lets nice values count between sessions until it is disposed of, or this process ends: with autogroups, as many machines have them,
 * each session gets the same share, and containerd's shims and runc are a session each. Source: sched(7).
 */
export function niceAcrossSessions(): Disposable {
  if (!existsSync(autogroup)) return { [Symbol.dispose]: () => undefined }
  const before = readFileSync(autogroup, 'utf8')
  const restore = (): void => {
    writeFileSync(autogroup, before)
  }
  process.once('exit', restore)
  writeFileSync(autogroup, '0')
  return {
    [Symbol.dispose]() {
      process.off('exit', restore)
      restore()
    },
  }
}
