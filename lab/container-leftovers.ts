/** Removes what a private container runtime may leave behind when it was killed. Finds nothing after a clean end. */
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './process.ts'
import { waitFor } from './wait.ts'

/** Sockets of the runtimes that run now: shims outlive whoever started them, so none stays behind whatever way this process ends. */
const guarded = new Set<string>()
process.on('exit', () => {
  for (const socket of guarded) killShims(socket)
})

/** Kills the shims of the containerd at `socket`, which nobody else has, should this process end before that is disposed of. */
export function guardShims(socket: string): Disposable {
  guarded.add(socket)
  return {
    [Symbol.dispose]() {
      guarded.delete(socket)
    },
  }
}

/** Kills the shims that serve the containerd at `socket`, and the processes in their pods; waits for their end. */
export async function stopShims(socket: string): Promise<void> {
  const doomed = killShims(socket)
  if (doomed.size === 0) return
  await waitFor('container processes to end', () => processes().every(({ pid }) => !doomed.has(pid)))
}

function killShims(socket: string): ReadonlySet<number> {
  const all = processes()
  const shims = all.filter(({ args }) => args.includes('containerd-shim') && args.includes(socket))
  const doomed = new Set(shims.map(({ pid }) => pid))
  for (let before = -1; before !== doomed.size;) {
    before = doomed.size
    for (const { pid, parent } of all) if (doomed.has(parent)) doomed.add(pid)
  }
  for (const pid of doomed) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
  return doomed
}

/** Unmounts all that is mounted under `folder`, the deepest first. */
export async function removeMounts(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${folder}/`))
  for (const point of mounts.sort((one, other) => other.length - one.length))
    await run('umount', ['-l', point])
}

/** Removes the cgroup `path` and those in it from every hierarchy of this machine. */
export async function removeCgroups(path: string): Promise<void> {
  const roots = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '')
  for (const root of roots) await removeFolders(join(root, path))
}

async function removeFolders(folder: string): Promise<void> {
  let entries
  try {
    entries = await readdir(folder, { withFileTypes: true })
  } catch {
    return // this hierarchy does not have it
  }
  for (const entry of entries) if (entry.isDirectory()) await removeFolders(join(folder, entry.name))
  await waitFor(`cgroup ${folder} to be empty`, async () => {
    await rmdir(folder)
    return true
  })
}

interface RunningProcess {
  readonly pid: number
  readonly parent: number
  readonly args: string
}

/** Every process of this machine but zombies. */
function processes(): RunningProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (state === 'Z') return []
      const args = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return [{ pid: Number(name), parent: Number(parent), args }]
    } catch {
      return [] // it ended meanwhile
    }
  })
}
