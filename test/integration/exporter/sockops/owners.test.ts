import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { libbpfFile } from '../../../../lab/needs.ts'
import { Process, run } from '../../../../lab/process.ts'
import { entry, Program } from '../../../../lab/program.ts'
import { ShortCutCgroup } from '../../../../lab/short-cut-cgroup.ts'
import { Turn } from '../../../../lab/turn.ts'
import { waitFor } from '../../../../lab/wait.ts'
import { WatchedCgroup } from '../../../../lab/watched-cgroup.ts'
import { silentLogger } from '../../../../src/common/logger.ts'
import type { Cgroupfs } from '../../../../src/exporter/cgroupfs.ts'
import type { Snapshot } from '../../../../src/exporter/core/containers.ts'
import { otherOwners } from '../../../../src/exporter/ebpf/hook-owners.ts'
import { Libbpf } from '../../../../src/exporter/ebpf/libbpf.ts'
import { SockopsPrograms } from '../../../../src/exporter/ebpf/sockops-program.ts'
import type { Procfs } from '../../../../src/exporter/procfs.ts'
import { ShortCut } from '../../../../src/exporter/sockops/short-cut.ts'
import { describeWith } from '../../../setup/needs.ts'

const foreign = fileURLToPath(new URL('../../../support/foreign-programs.py', import.meta.url))
const script = fileURLToPath(new URL('../../../support/socket-cases.py', import.meta.url))
const tiny = [script, 'tiny', 'v4']

async function held(...args: readonly string[]): Promise<Process> {
  const started = await Process.start('foreign', 'python3', [foreign, ...args])
  await waitFor('a foreign program', () => started.stdout.includes('held') || !started.running)
  if (!started.running) throw new Error(started.stderr)
  return started
}

const options = { libbpf: libbpfFile(), observeSeconds: 0, log: silentLogger }

describeWith(['root', 'bpf', 'python3'], 'programs of somebody else', () => {
  it('keep a cgroup that they are at from being touched, and no other', async () => {
    await using _turn = await Turn.shared('sockops')
    await using mine = await WatchedCgroup.create()
    await using theirs = await WatchedCgroup.create()
    await using owner = await held('sock_ops', theirs.path)
    using programs = new SockopsPrograms(options)
    const containers = [mine, theirs].map(({ path, id }) => ({ folder: path, cgroupIds: [id] }))
    expect(programs.watch(containers)).toEqual(['foreign'])
    expect(programs.read().containers).toBe(1)
    for (const cgroup of [mine, theirs]) {
      // What is not watched any more for some seconds is left alone.
      using watching = new DisposableStack()
      const timer = setInterval(() => programs.watch(containers), 1_000)
      watching.defer(() => {
        clearInterval(timer)
      })
      await using started = await cgroup.start('case', 'python3', tiny)
      expect(await started.exited).toMatchObject({ code: 0 })
      expect(started.stdout).toBe(await run('python3', tiny))
      expect(programs.read().connections).toBe(2)
    }

    // What is attached by a cgroup's own file stays without its process: only the cgroup's end ends it.
    await owner[Symbol.asyncDispose]()
    expect(programs.watch(containers)).toEqual(['foreign'])
  })

  it('keep the cgroups below theirs from being touched', async () => {
    await using _turn = await Turn.shared('sockops')
    await using parent = await WatchedCgroup.create()
    const folder = join(parent.path, 'child')
    mkdirSync(folder)
    using removed = new DisposableStack()
    removed.defer(() => {
      rmdirSync(folder)
    })
    await using owner = await held('sock_ops', parent.path)
    expect(owner.running).toBe(true)
    using programs = new SockopsPrograms(options)
    expect(programs.watch([{ folder, cgroupIds: [1] }])).toEqual(['foreign'])
    expect(programs.read().containers).toBe(0)
  })

  // Others have their turn first.
  const patience = { timeout: 180_000 }
  it('on messages keep everything from being loaded, until they are gone', patience, async () => {
    await using _turn = await Turn.exclusive('sockops')
    {
      await using owner = await held('sk_msg')
      expect(owner.running).toBe(true)
      expect(() => new SockopsPrograms(options)).toThrow(
        expect.objectContaining({
          code: 'sockops_taken',
          message: expect.stringContaining('do: foreign') as string,
        }) as Error,
      )
    }
    await waitFor('the programs to load', () => {
      using programs = new SockopsPrograms(options)
      return programs.read().containers === 0
    })
  })

  it('at a cgroup may be those of another exporter: one at a time', async () => {
    await using shortCut = await ShortCutCgroup.start()
    using programs = new SockopsPrograms(options)
    const { path, id } = shortCut.cgroup
    expect(programs.watch([{ folder: path, cgroupIds: [id] }])).toEqual(['podsonar_ops'])
  })
})

/** Those that docs/sockops.md names, and those of the exporter's manifest that eBPF needs. */
const capabilities = ['net_admin', 'sys_admin', 'bpf', 'perfmon']
const only = (held: readonly string[]): string[] => [
  ...['setpriv', `--bounding-set=-all,${held.map((one) => `+${one}`).join(',')}`],
]

describeWith(['root', 'bpf', 'python3'], 'the capabilities that a short cut takes', () => {
  it('are NET_ADMIN and SYS_ADMIN, beside those that the exporter has', async () => {
    await using shortCut = await ShortCutCgroup.start({ wrapper: only(capabilities) })
    const { pid } = shortCut.holder
    const held = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
    expect(BigInt(`0x${held}`).toString(2).replaceAll('0', '')).toHaveLength(capabilities.length)
    expect(await shortCut.run('python3', tiny)).toBe(await run('python3', tiny))
    await waitFor('messages', () => shortCut.reading.messages > 0)
    await shortCut.holder[Symbol.asyncDispose]()
    expect(shortCut.holder.stdout).toContain('{"left":0}')
  })

  it.each([[['net_admin', 'bpf', 'perfmon']], [['bpf', 'perfmon']], [['chown']]])(
    'are asked for by name: with %s only',
    async (held) => {
      const wrapper = only(held)
      await expect(ShortCutCgroup.start({ wrapper })).rejects.toThrow(/takes CAP_SYS_ADMIN: EPERM/)
    },
  )
})

describeWith(['root', 'bpf', 'python3', 'ip'], 'beside Cilium', () => {
  it('the exporter does not start', async () => {
    const inside = ['--net', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c']
    const add = 'ip link add cilium_host type veth peer name cilium_net && exec "$0" "$@"'
    const settings = { SOCKOPS: 'true', LIBBPF_PATH: libbpfFile(), COLLECTORS: 'sockstat' }
    await using exporter = await Program.start(['exporter'], settings, ['unshare', ...inside, add, entry])
    expect(await exporter.process.exited).toMatchObject({ code: 1 })
    expect(exporter.process.stderr).toMatch(/interface cilium_(host|net) here/)
    expect(exporter.process.stderr).toContain('expected SOCKOPS=false')
  })

  it('that comes later, what is short-cut is given back', async () => {
    await using _turn = await Turn.shared('sockops')
    await using cgroup = await WatchedCgroup.create()
    const interfaces = ['lo']
    await using shortCut = new ShortCut({
      snapshot: () => Promise.resolve({ containers: [container(cgroup)] } as unknown as Snapshot),
      cgroupfs: { folderOf: () => cgroup.path, idsBelow: () => [] } as unknown as Cgroupfs,
      procfs: { interfaces: () => interfaces } as unknown as Procfs,
      ...{ libbpf: libbpfFile(), maxConnections: 16, observeSeconds: 0, log: silentLogger },
    })
    const read = () => shortCut.read(AbortSignal.timeout(10_000))
    await waitFor('the cgroup to be attached to', async () => (await read())?.containers === 1)
    await using started = await cgroup.start('case', 'python3', [script, 'stays', 'v4'])
    await waitFor('messages', async () => ((await read())?.messages ?? 0) > 0)
    interfaces.push('cilium_host')
    await waitFor('the programs to go', async () => (await read()) === undefined)
    await waitFor('the cgroup to be free', () => {
      const fd = openSync(cgroup.path, 'r')
      try {
        return otherOwners(Libbpf.load(libbpfFile()), fd).length === 0
      } finally {
        closeSync(fd)
      }
    })
    started.kill('SIGUSR2')
    expect(await started.exited).toMatchObject({ code: 0 })
    expect(started.stdout).toContain('exchanged')
    expect(started.stdout).not.toContain('wrong')
  })
})

function container({ id }: WatchedCgroup): Record<string, unknown> {
  return { pod: { annotations: { 'podsonar.io/sockops': 'true' } }, cgroupId: id, cgroups: {} }
}
