/**
 * The image's root file system, without a container builder: Node.js, the libraries that it and libbpf need, the packages of
 * production, and podsonar. No shell, no package manager, nothing else. The Dockerfile copies exactly this.
 */
import {
  chmod,
  copyFile,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { multiarch } from './clang.ts'
import { controlFolder, unpackDebian } from './debian.ts'

const project = fileURLToPath(new URL('../', import.meta.url))

/**
 * Debian bookworm's packages: the shared objects that node links to, libbpf for the exporter, tcpdump and what it takes to run it in
 * a pod's network namespace.
 */
const packages = [
  ...[
    'coreutils',
    'libc6',
    'libstdc++6',
    'libgcc-s1',
    'libbpf1',
    'libelf1',
    'zlib1g',
    'util-linux',
    'libselinux1',
  ],
  ...[
    'libpcre2-8-0',
    'libcap-ng0',
    'tcpdump',
    'libpcap0.8',
    'libssl3',
    'libdbus-1-3',
    'libsystemd0',
    'libcap2',
  ],
  ...['libgcrypt20', 'libgpg-error0', 'liblz4-1', 'liblzma5', 'libzstd1'],
]

/** What of them runs: env for the first line, stat for file systems that may hang, the rest for captures. */
const programs = ['env', 'stat', 'nsenter', 'setpriv', 'stdbuf', 'tcpdump']
/** The other half of stdbuf, where it looks for it. */
const stdbufLibrary = 'usr/libexec/coreutils/libstdbuf.so'

/** What nothing links to: the other half of OpenSSL's package. */
const unusedLibrary = /^libssl\.so/

/** The unprivileged user of the registrar and the proxy; the exporter's manifest asks for root. */
const accounts = {
  passwd: 'root:x:0:0:root:/:/sbin/nologin\npodsonar:x:65532:65532:podsonar:/:/sbin/nologin\n',
  group: 'root:x:0:\npodsonar:x:65532:\n',
  'nsswitch.conf': 'hosts: files dns\n',
}

/** Files of npm packages that nothing reads at run time. */
const unusedFile = /\.(map|md|markdown|ts|mts|cts|flow|tsbuildinfo)$/i

export interface RootfsOptions {
  /** The Node.js that goes in. @default the one that runs this */
  readonly node?: string
}

/**
 * Writes the root file system into an empty or missing folder. `npm run build` must have written dist/ before.
 *
 * @throws Error when dist/ is missing, or a Debian package cannot be had
 */
export async function buildRootfs(
  folder: string,
  { node = process.execPath }: RootfsOptions = {},
): Promise<void> {
  await rootfsFolders(folder)
  await mkdir(join(folder, 'app'))
  const unpacked = await copyLibraries(folder, packages)
  for (const name of programs) await copyFile(join(unpacked, 'usr/bin', name), join(folder, 'usr/bin', name))
  await mkdir(join(folder, dirname(stdbufLibrary)), { recursive: true })
  await copyFile(join(unpacked, stdbufLibrary), join(folder, stdbufLibrary))
  await copyFile(node, join(folder, 'usr/bin/node'))
  await copyProgram(join(folder, 'app'))
  await symlink('/app/dist/main.js', join(folder, 'usr/bin/podsonar'))
}

/**
 * Writes the empty folders, the merged /usr and the accounts of a root file system.
 *
 * @throws Error unless `folder` is empty or missing
 */
export async function rootfsFolders(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  if ((await readdir(folder)).length > 0)
    throw new Error(`Cannot build a root file system in ${folder}: expected an empty folder`)
  for (const name of ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr/bin', 'usr/lib', 'usr/lib64'])
    await mkdir(join(folder, name), { recursive: true })
  await chmod(join(folder, 'tmp'), 0o1777)
  for (const name of ['bin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(folder, name))
  for (const [name, text] of Object.entries(accounts)) await writeFile(join(folder, 'etc', name), text)
}

/**
 * Copies the shared objects of Debian bookworm's packages, the licences, and what scanners read of the packages.
 *
 * @returns the folder that the packages are unpacked in
 */
export async function copyLibraries(folder: string, names: readonly string[]): Promise<string> {
  const unpacked = await unpackDebian('bookworm', names, { control: true })
  for (const top of ['lib', 'usr/lib']) {
    const from = join(unpacked, top, multiarch())
    const to = join(folder, 'usr/lib', multiarch())
    await mkdir(to, { recursive: true })
    for (const name of await readdir(from).catch(() => []))
      if (/\.so(\.|$)/.test(name) && !unusedLibrary.test(name))
        await cp(join(from, name), join(to, name), { verbatimSymlinks: true })
  }
  // The loader, under the one name by which every program asks for it: /lib64/ld-linux-x86-64.so.2, /lib/ld-linux-aarch64.so.1.
  const loader = process.arch === 'arm64' ? 'lib/ld-linux-aarch64.so.1' : 'lib64/ld-linux-x86-64.so.2'
  await rm(join(folder, 'usr', loader), { force: true })
  await symlink(`/usr/lib/${multiarch()}/${loader.split('/').at(-1) ?? ''}`, join(folder, 'usr', loader))
  await cp(join(unpacked, controlFolder), join(folder, controlFolder), { recursive: true })
  for (const name of names) {
    const target = join(folder, 'usr/share/doc', name)
    await mkdir(target, { recursive: true })
    // A link, where a package shares its source's licence with another: cp follows it.
    await cp(join(unpacked, 'usr/share/doc', name, 'copyright'), join(target, 'copyright'), {
      dereference: true,
    }).catch(() => undefined)
  }
  return unpacked
}

/** dist/, proto/, package.json and the npm packages that the lock file has for production. */
async function copyProgram(app: string): Promise<void> {
  for (const name of ['dist', 'proto', 'package.json', 'LICENSE'])
    await cp(join(project, name), join(app, name), {
      recursive: true,
      filter: (path) => !path.endsWith('.map'),
    })
  await chmod(join(app, 'dist/main.js'), 0o755)

  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>
  }
  for (const [path, { dev, devOptional, optional }] of Object.entries(lock.packages)) {
    if (path === '' || dev === true || devOptional === true) continue
    const from = join(project, path)
    const there = await lstat(from).catch(() => undefined)
    if (there === undefined && optional === true) continue // meant for another platform
    if (there === undefined) throw new Error(`Cannot find ${path}: run "npm ci" first`)
    await mkdir(dirname(join(app, path)), { recursive: true })
    await cp(from, join(app, path), {
      recursive: true,
      // Packages inside packages are entries of their own in the lock file.
      filter: (source) =>
        !source.slice(from.length).startsWith('/node_modules') &&
        !(unusedFile.test(source) && !isLicense(source)),
    })
  }
}

function isLicense(path: string): boolean {
  return /\/(licen[cs]e|notice|copying)[^/]*$/i.test(path)
}
