/**
 * Programs of this repository on another kernel: one of Debian's in a virtual machine, emulated, so that it
 * works wherever QEMU runs. It takes half a minute. Only for x86-64.
 */
import { existsSync, readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CpioArchive } from './cpio.ts'
import { dependenciesOf, unpackDebian, type Suite } from './debian.ts'
import { TemporaryFolder } from './files.ts'
import { unpacked } from './needs.ts'
import { run } from './process.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
/** Of busybox. */
const applets = ['sh', 'mount', 'mkdir', 'ip', 'echo', 'unshare', 'nsenter', 'sleep', 'poweroff']
/** Where libbpf is in the machine. */
export const libbpfInMachine = '/libbpf/usr/lib/x86_64-linux-gnu/libbpf.so.1'

const init = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir /sys/fs/cgroup/inside
echo $$ > /sys/fs/cgroup/inside/cgroup.procs
ip link set lo up
cd /repository
node PROGRAM
poweroff -f
`

/** Why there can be no such machine here, or undefined. */
export function missingForMachine(): string | undefined {
  return process.arch === 'x64' ? undefined : 'the virtual machine is an x86-64'
}

/**
 * Boots the kernel of a Debian release with this repository in it and runs a program there.
 *
 * @param program path in the repository
 * @returns what it wrote
 */
export async function runOnKernelOf(suite: Suite, program: string): Promise<string> {
  await using folder = await TemporaryFolder.create('machine')
  const archive = join(folder.path, 'initrd')
  await (await fileSystem(program)).write(archive)
  const qemu = await unpackDebian('bookworm', ['qemu-system-x86'], { dependencies: true })
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(qemu, path))
  return await run(
    'timeout',
    [
      ...['240', join(qemu, 'usr/bin/qemu-system-x86_64'), '-accel', 'tcg', '-cpu', 'max', '-m', '1536'],
      ...['-L', join(qemu, 'usr/share/qemu'), '-L', join(qemu, 'usr/share/seabios')],
      ...['-no-user-config', '-no-reboot', '-nographic', '-net', 'none'],
      ...['-kernel', await kernelOf(suite), '-initrd', archive, '-append', 'console=ttyS0 quiet panic=-1'],
    ],
    { env: { ...process.env, LD_LIBRARY_PATH: libraries.join(':') } },
  )
}

async function kernelOf(suite: Suite): Promise<string> {
  const [name = ''] = await dependenciesOf(suite, 'linux-image-cloud-amd64')
  const folder = join(await unpackDebian(suite, [name]), 'boot')
  const file = (await readdir(folder)).find((one) => one.startsWith('vmlinuz-'))
  if (file === undefined) throw new Error(`Cannot find the kernel of ${name} in ${folder}`)
  return join(folder, file)
}

/** Node.js with its libraries, busybox, libbpf, and what of this repository the programs need. */
async function fileSystem(program: string): Promise<CpioArchive> {
  const archive = new CpioArchive()
  for (const path of ['proc', 'sys', 'dev', 'tmp']) archive.folder(path)
  archive.file('init', Buffer.from(init.replace('PROGRAM', program)))
  archive.file('bin/busybox', await readFile(join(await unpacked('containerd'), 'bin/busybox')))
  for (const applet of applets) archive.link(`bin/${applet}`, 'busybox')
  archive.file('bin/node', await readFile(process.execPath))
  const libraries = (await run('ldd', [process.execPath])).matchAll(/\/\S+/g)
  for (const [path] of libraries) archive.file(path.slice(1), await readFile(path))
  await archive.tree('libbpf', await unpacked('libbpf'))
  for (const path of ['src', 'lab', 'test/support', 'build/bpf', 'package.json'])
    await archive.tree(`repository/${path}`, join(root, path))
  for (const name of withDependencies('.'))
    await archive.tree(`repository/node_modules/${name}`, join(root, 'node_modules', name))
  return archive
}

/** All that a package needs at run time, as far as it is installed for this machine. */
function withDependencies(folder: string, found = new Set<string>()): Set<string> {
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
    readFileSync(join(root, folder, 'package.json'), 'utf8'),
  ) as { dependencies?: Record<string, string>; optionalDependencies?: Record<string, string> }
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const installed = join('node_modules', name)
    if (found.has(name) || !existsSync(join(root, installed))) continue
    found.add(name)
    withDependencies(installed, found)
  }
  return found
}
