/**
 * Programs from Debian's packages, unpacked into the user's cache folder: nothing is installed and the system's own apt
 * state is not touched. The mirror is the one that this machine's apt is set up with.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from './files.ts'
import { run } from './process.ts'

export type Suite = 'bullseye' | 'bookworm' | 'trixie'

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Why packages cannot be unpacked on this machine, or undefined when they can (as far as one can tell before trying). */
export function missingForDebian(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux'
  if (!existsSync('/usr/bin/apt-get') || !existsSync('/usr/bin/dpkg'))
    return 'no apt-get and dpkg: not a Debian'
  return existsSync(keyring) ? undefined : `${keyring} is missing`
}

/** Where {@link unpackDebian} puts these packages. */
export function unpackedFolder(suite: Suite, packages: readonly string[]): string {
  return join(cacheFolder, 'debian', suite, [...packages].sort().join('+'))
}

/**
 * Unpacks packages of a suite, without their dependencies, side by side into one folder, once; later calls find it.
 *
 * @returns the folder, which has `usr/bin` and the like in it
 * @throws Error when apt cannot find or fetch one
 */
export async function unpackDebian(suite: Suite, packages: readonly string[]): Promise<string> {
  const root = unpackedFolder(suite, packages)
  if (existsSync(root)) return root
  const work = `${root}.${process.pid}`
  const downloads = join(work, 'downloads')
  await mkdir(downloads, { recursive: true })
  const apt = await aptOptions(suite)
  for (const name of packages) {
    // The version is named: apt would otherwise prefer the one that the system has installed.
    const madison = await run('apt-cache', [...apt, 'madison', name])
    const version = madison.split('\n', 1)[0]?.split('|')[1]?.trim()
    if (!version) throw new Error(`Cannot find the Debian package ${name} in ${suite}`)
    await run('apt-get', [...apt, '-qq', 'download', `${name}=${version}`], { cwd: downloads })
  }
  const unpacked = join(work, 'root')
  for (const file of await readdir(downloads)) await run('dpkg', ['-x', join(downloads, file), unpacked])
  await rename(unpacked, root).catch((error: unknown) => {
    if (!existsSync(root)) throw error // else another process was faster
  })
  await rm(work, { recursive: true, force: true })
  return root
}

/** apt with lists of its own for one suite; fetches them once. */
async function aptOptions(suite: Suite): Promise<string[]> {
  const folder = join(cacheFolder, 'apt', suite)
  const lists = join(folder, 'lists')
  const options = [
    ...['-o', `Dir::Etc::sourcelist=${join(folder, 'sources.list')}`, '-o', 'Dir::Etc::sourceparts=-'],
    ...['-o', `Dir::State::Lists=${lists}`, '-o', 'Dir::Cache::pkgcache=', '-o', 'Dir::Cache::srcpkgcache='],
    ...['-o', 'APT::Sandbox::User=root'],
  ]
  if (!existsSync(join(folder, 'complete'))) {
    const targets = await run('apt-get', ['indextargets', '--format', '$(ORIGIN) $(CODENAME) $(REPO_URI)'])
    const mirror = targets
      .split('\n')
      .map((line) => line.split(' '))
      .find(([origin, codename]) => origin === 'Debian' && codename?.includes('-') === false)?.[2]
    await mkdir(join(lists, 'partial'), { recursive: true })
    const uri = mirror ?? 'http://deb.debian.org/debian'
    await writeFile(join(folder, 'sources.list'), `deb [signed-by=${keyring}] ${uri} ${suite} main\n`)
    await run('apt-get', [...options, '-qq', 'update'])
    await writeFile(join(folder, 'complete'), '')
  }
  return options
}
