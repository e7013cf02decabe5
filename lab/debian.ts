/**
 * Programs from Debian's packages, unpacked into the user's cache folder: nothing is installed and the system's own apt
 * state is not touched. The mirror is the one that this machine's apt is set up with.
 */
import { createHash } from 'node:crypto'
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

export interface UnpackOptions {
  /** Also all that they depend on, but for the C library, which is the machine's. @default false */
  readonly dependencies?: boolean
  /** Also what each package says of itself (deb-control(5)), below {@link controlFolder}. @default false */
  readonly control?: boolean
}

/** Where images without dpkg have what scanners read of their packages: a file for each. */
export const controlFolder = 'var/lib/dpkg/status.d'

/** Where {@link unpackDebian} puts these packages. */
export function unpackedFolder(
  suite: Suite,
  packages: readonly string[],
  { dependencies = false, control = false }: UnpackOptions = {},
): string {
  const names = [...packages].sort().join('+') + (dependencies ? '+all' : '') + (control ? '+control' : '')
  // A file's name ends at 255 bytes.
  const hash = createHash('sha256').update(names).digest('hex').slice(0, 12)
  return join(cacheFolder, 'debian', suite, names.length > 200 ? `${names.slice(0, 150)}-${hash}` : names)
}

/**
 * Unpacks packages side by side into one folder, once; later calls find it.
 *
 * @returns the folder, which has `usr/bin` and the like in it
 * @throws Error when apt cannot find or fetch one
 */
export async function unpackDebian(
  suite: Suite,
  names: readonly string[],
  options: UnpackOptions = {},
): Promise<string> {
  const root = unpackedFolder(suite, names, options)
  if (existsSync(root)) return root
  const work = `${root}.${process.pid}`
  const downloads = join(work, 'downloads')
  await mkdir(downloads, { recursive: true })
  const apt = await aptOptions(suite)
  const wanted =
    options.dependencies === true ? await closure(names, apt, work) : await newest(suite, names, apt)
  await run('apt-get', [...apt, '-qq', 'download', ...wanted], { cwd: downloads })
  const unpacked = join(work, 'root')
  const control = join(unpacked, controlFolder)
  if (options.control === true) await mkdir(control, { recursive: true })
  for (const file of await readdir(downloads)) {
    await run('dpkg', ['-x', join(downloads, file), unpacked])
    if (options.control === true)
      await writeFile(
        join(control, file.split('_', 1)[0] ?? file),
        await run('dpkg-deb', ['-f', join(downloads, file)]),
      )
  }
  await rename(unpacked, root).catch((error: unknown) => {
    if (!existsSync(root)) throw error // else another process was faster
  })
  await rm(work, { recursive: true, force: true })
  return root
}

/** The packages as `name=version`: apt would otherwise prefer the version that the system has installed. */
async function newest(suite: Suite, names: readonly string[], apt: readonly string[]): Promise<string[]> {
  const wanted: string[] = []
  for (const name of names) {
    const madison = await run('apt-cache', [...apt, 'madison', name])
    const version = madison.split('\n', 1)[0]?.split('|')[1]?.trim()
    if (!version) throw new Error(`Cannot find the Debian package ${name} in ${suite}`)
    wanted.push(`${name}=${version}`)
  }
  return wanted
}

/** The packages with all that they depend on, as `name=version`: what apt would install on a machine that has nothing. */
async function closure(names: readonly string[], apt: readonly string[], work: string): Promise<string[]> {
  const status = join(work, 'status')
  await writeFile(status, '')
  // With an archive of its own: apt would leave out what lies in that of the system already.
  const archives = join(work, 'archives')
  await mkdir(join(archives, 'partial'), { recursive: true })
  const asIfEmpty = [
    ...['-qq', '--print-uris', '--no-install-recommends', '-o', `Dir::State::status=${status}`],
    ...['-o', `Dir::Cache::archives=${archives}`],
  ]
  const uris = await run('apt-get', [...apt, ...asIfEmpty, 'install', ...names])
  // A line is 'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH, the version with %3a for a colon.
  return [...uris.matchAll(/^'.*' ([^_]+)_([^_]+)_\S+\.deb /gm)]
    .filter(([, name]) => name !== 'libc6')
    .map(([, name = '', version = '']) => `${name}=${decodeURIComponent(version)}`)
}

/** The packages that a package of a suite depends on: for one that stands for the newest of its kind, that one. */
export async function dependenciesOf(suite: Suite, name: string): Promise<string[]> {
  const lines = await run('apt-cache', [...(await aptOptions(suite)), 'depends', name])
  return [...lines.matchAll(/^ +Depends: (\S+)$/gm)].map(([, dependency = '']) => dependency)
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
