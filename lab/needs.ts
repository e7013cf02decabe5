/** What tests, benchmarks and the demo need of a machine, and why it is not there. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { missingForDebian, unpackDebian, unpackedFolder, type Suite } from './debian.ts'

/** Debian packages that are unpacked, not installed, a name for each use. */
const packages = {
  consul: { suite: 'bullseye', names: ['consul'] },
  prometheus: { suite: 'bullseye', names: ['prometheus'] },
  containerd: {
    suite: 'bookworm',
    names: ['containerd', 'runc', 'containernetworking-plugins', 'busybox-static'],
  },
} as const satisfies Record<string, { suite: Suite; names: readonly string[] }>

export type Unpacked = keyof typeof packages
export type Need = Unpacked | 'root' | 'npm registry'

/** Unpacks what is not there yet; gives, for each that cannot be had, why. */
export async function prepare(
  wanted: readonly Unpacked[] = Object.keys(packages) as Unpacked[],
): Promise<Partial<Record<Unpacked, string>>> {
  const failures: Partial<Record<Unpacked, string>> = {}
  const impossible = missingForDebian()
  for (const name of wanted) {
    if (missingFor(name) === undefined) continue
    try {
      if (impossible !== undefined) throw new Error(impossible)
      await unpackDebian(packages[name].suite, packages[name].names)
    } catch (error) {
      failures[name] = error instanceof Error ? error.message : String(error)
    }
  }
  return failures
}

/** The folder that the packages of `name` are unpacked in. */
export function unpacked(name: Unpacked): Promise<string> {
  return unpackDebian(packages[name].suite, packages[name].names)
}

/** Why `need` is not met on this machine, or undefined when it is. */
export function missingFor(need: Need): string | undefined {
  if (need === 'root') return process.getuid?.() === 0 ? undefined : 'needs root'
  if (need === 'npm registry')
    return spawnSync('npm', ['ping']).status === 0 ? undefined : 'the npm registry does not answer'
  const { suite, names } = packages[need]
  return existsSync(unpackedFolder(suite, names))
    ? undefined
    : `the Debian packages ${names.join(', ')} (${suite}) could not be unpacked`
}
