import { chmod, cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { findClang } from '../../../lab/clang.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { libbpfFile, unpacked } from '../../../lab/needs.ts'
import { run } from '../../../lab/process.ts'
import { describeWith } from '../../setup/needs.ts'

const libbpf = libbpfFile()
const root = fileURLToPath(new URL('../../../', import.meta.url))

interface Outcome {
  source: 'ebpf' | 'procfs'
  records: string[]
  rows: number
}

/** Runs test/support/read-sockets.ts behind a command that takes something away from it. */
async function readSockets(
  options: Readonly<Record<string, string>> = {},
  wrapper: readonly string[] = [],
  folder = root,
): Promise<Outcome> {
  const node = join(folder, 'node_modules/node/bin/node')
  const program = join(folder, 'test/support/read-sockets.ts')
  const [command, ...args] = [...wrapper, node, program, JSON.stringify({ libbpf, ...options })]
  return JSON.parse(await run(command, args)) as Outcome
}

/** Runs a command line in a mount namespace of its own. */
const inMounts = (script: string): string[] => [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `${script}; exec "$@"`,
  'sh',
]

/** An object in place of ours that the verifier refuses. */
async function compileRefused(folder: string): Promise<void> {
  const clang = await findClang()
  const source = join(folder, 'refused.bpf.c')
  await writeFile(
    source,
    `struct { int (*type)[2]; int (*max_entries)[1]; int *key; long (*value)[11]; } rows __attribute__((section(".maps")));
     __attribute__((section("raw_tp/sys_enter"))) int read_sockets(long *c) { return *(int *)c[0]; }
     char LICENSE[] __attribute__((section("license"))) = "GPL";`,
  )
  await mkdir(join(folder, process.arch))
  const output = join(folder, process.arch, 'socket-table.bpf.o')
  const args = ['-O2', '-g', '-target', 'bpf', '-c', source, '-o', output]
  await run(clang.program, args, { env: clang.env })
}

describeWith(['root', 'bpf'], 'CONNECTIONS_SOURCE=auto', () => {
  it('reads with eBPF where it can', async () => {
    const outcome = await readSockets()

    expect(outcome.source).toBe('ebpf')
    expect(outcome.rows).toBeGreaterThan(0)
  })

  it('needs no more than CAP_BPF and CAP_PERFMON, and no root', async () => {
    await using folder = await TemporaryFolder.create('unprivileged')
    const capabilities = '-all,+bpf,+perfmon'
    const setpriv = [
      ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
      ...[`--inh-caps=${capabilities}`, `--ambient-caps=${capabilities}`, `--bounding-set=${capabilities}`],
    ]
    // Both may lie in a home folder that only root may enter.
    const [repository, libraries] = [join(folder.path, 'repository'), join(folder.path, 'libraries')]
    await chmod(folder.path, 0o755)
    await mkdir(repository)
    await cp(await unpacked('libbpf'), libraries, { recursive: true, verbatimSymlinks: true })
    const options = { libbpf: libbpf.replace(await unpacked('libbpf'), libraries) }
    const wrapper = [...inMounts(`mount --bind ${root} ${repository}`), ...setpriv]

    const outcome = await readSockets(options, wrapper, repository)

    expect(outcome).toMatchObject({ source: 'ebpf', records: ['Sockets are read in one eBPF pass'] })
    expect(outcome.rows).toBeGreaterThan(0)
  })

  it('sees the whole node from a network namespace of its own', async () => {
    const outcome = await readSockets({}, ['unshare', '--net'])

    expect(outcome.source).toBe('ebpf')
    expect(outcome.rows).toBeGreaterThan(0)
  })

  const because = 'Sockets are read from /proc, which costs far more, because'

  it('falls back without the capabilities, and names them', async () => {
    const outcome = await readSockets({}, ['setpriv', '--bounding-set=-bpf,-perfmon,-sys_admin'])

    expect(outcome).toMatchObject({
      source: 'procfs',
      records: [`${because} CAP_PERFMON and CAP_BPF are not among the capabilities of this process`],
    })
  })

  it('falls back without libbpf', async () => {
    const outcome = await readSockets({ libbpf: '/nowhere/libbpf.so.1' })

    expect(outcome.source).toBe('procfs')
    expect(outcome.records).toEqual([expect.stringMatching(/libbpf\.so\.1 .* cannot be loaded/)])
  })

  it('falls back in a build without compiled programs', async () => {
    await using folder = await TemporaryFolder.create('objects')

    const outcome = await readSockets({ objects: folder.path })

    expect(outcome.source).toBe('procfs')
    expect(outcome.records).toEqual([expect.stringMatching(/no compiled eBPF programs/)])
  })

  it('falls back on a kernel that does not describe its types', async () => {
    const outcome = await readSockets({}, inMounts('mount -t tmpfs none /sys/kernel/btf'))

    expect(outcome.source).toBe('procfs')
    expect(outcome.records).toEqual([expect.stringMatching(/\/sys\/kernel\/btf\/vmlinux is missing/)])
  })

  it('falls back when the verifier refuses the program, with its last word', async () => {
    await using folder = await TemporaryFolder.create('objects')
    await compileRefused(folder.path)

    const outcome = await readSockets({ objects: folder.path })

    expect(outcome.source).toBe('procfs')
    expect(outcome.records).toEqual([expect.stringMatching(/refuses the program, .* invalid mem access/)])
  })
})
