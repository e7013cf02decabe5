import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { libbpfFile } from '../../../lab/needs.ts'
import { Process, run } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'

const program = fileURLToPath(new URL('../../support/load-programs.ts', import.meta.url))
const argumentsFor = (rows: number): string[] => [program, libbpfFile(), String(rows)]

/** Sends signals to a process as fast as it can, as long as there is that process. */
const signalling = 'while kill -USR2 "$0" 2> /dev/null; do :; done'

interface Outcome {
  rows?: number
  code?: string
  interruptions: number
}

function outcomeOf(stdout: string): Outcome {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Outcome
}

/** Whether this kernel limits the memory of cgroups at all. Source: /proc/cgroups, cgroups(7). */
function kernelLimitsMemory(): boolean {
  return /^memory\t\d+\t\d+\t1$/m.test(readFileSync('/proc/cgroups', 'utf8'))
}

/** A cgroup with a limit of memory. @throws Error where none can be made */
function limitedCgroup(bytes: number): Disposable & { readonly folder: string } {
  const [root, file] = existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? ['/sys/fs/cgroup', 'memory.max']
    : ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes']
  if (file === 'memory.max') writeFileSync(join(root, 'cgroup.subtree_control'), '+memory')
  const folder = join(root, `podsonar-test-${process.pid}`)
  mkdirSync(folder)
  const cgroup = {
    folder,
    [Symbol.dispose]() {
      rmdirSync(folder)
    },
  }
  try {
    writeFileSync(join(folder, file), String(bytes))
    return cgroup
  } catch (error) {
    cgroup[Symbol.dispose]()
    throw error
  }
}

describeWith(['root', 'bpf'], 'an eBPF program that cannot be loaded at once', () => {
  it('is loaded all the same when signals interrupt the kernel again and again', async () => {
    let interruptions = 0
    // On a busy machine the sender may not get its turn while the kernel looks through the program.
    for (let attempt = 0; attempt < 20 && interruptions === 0; attempt += 1) {
      await using loading = await Process.start('loading', process.execPath, argumentsFor(1_024))
      await waitFor('the loading to begin', () => loading.stdout.includes('ready'))
      await using signals = await Process.start('signals', 'sh', ['-c', signalling, String(loading.pid)])
      await waitFor('an interruption', () => loading.stdout.includes('interrupted') || !loading.running)
      signals.kill('SIGTERM')

      expect(await loading.exited).toMatchObject({ code: 0 })
      const outcome = outcomeOf(loading.stdout)
      expect(outcome.rows).toEqual(expect.any(Number))
      interruptions = outcome.interruptions
    }
    expect(interruptions).toBeGreaterThan(0)
  })

  it('fails with a reason, and its process lives on, where the memory limit is too low', async (test) => {
    if (!kernelLimitsMemory()) {
      test.skip('this kernel does not limit the memory of cgroups')
      return
    }
    using cgroup = limitedCgroup(96 << 20)
    const within = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
    const inCgroup = (rows: number): Promise<string> =>
      run('sh', ['-c', within, cgroup.folder, process.execPath, ...argumentsFor(rows)])

    expect(outcomeOf(await inCgroup(4_000_000))).toMatchObject({ code: 'bpf_no_memory' })
    expect(outcomeOf(await inCgroup(65_536)).rows).toBeGreaterThan(0)
  })
})
