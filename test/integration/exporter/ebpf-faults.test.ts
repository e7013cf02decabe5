import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { libbpfFile } from '../../../lab/needs.ts'
import { Process, run } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'

const program = fileURLToPath(new URL('../../support/load-programs.ts', import.meta.url))
const argumentsFor = (rows: number): string[] => [program, libbpfFile(), String(rows)]

interface Outcome {
  rows?: number
  code?: string
  interruptions: number
}

function outcomeOf(stdout: string): Outcome {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Outcome
}

/** A cgroup with a limit of memory, or undefined where none can be made here. */
function limitedCgroup(bytes: number): (Disposable & { readonly folder: string }) | undefined {
  const name = `podsonar-test-${process.pid}`
  const [root, file] = existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? ['/sys/fs/cgroup', 'memory.max']
    : ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes']
  const folder = join(root, name)
  if (!existsSync(join(root, 'cgroup.procs'))) return undefined
  mkdirSync(folder)
  if (!existsSync(join(folder, file))) {
    rmdirSync(folder)
    return undefined
  }
  writeFileSync(join(folder, file), String(bytes))
  return {
    folder,
    [Symbol.dispose]() {
      rmdirSync(folder)
    },
  }
}

describeWith(['root', 'bpf'], 'an eBPF program that cannot be loaded at once', () => {
  it('is loaded all the same when signals interrupt the kernel again and again', async () => {
    await using loading = await Process.start('loading', process.execPath, argumentsFor(1_024))
    await waitFor('the loading to begin', () => loading.stdout.includes('ready'))
    for (const until = performance.now() + 400; performance.now() < until && loading.running;) {
      loading.kill('SIGUSR2')
      await delay(1)
    }

    expect(await loading.exited).toMatchObject({ code: 0 })
    expect(outcomeOf(loading.stdout)).toEqual({
      rows: expect.any(Number) as number,
      interruptions: expect.any(Number) as number,
    })
    expect(outcomeOf(loading.stdout).interruptions).toBeGreaterThan(0)
  })

  it('fails with a reason, and its process lives on, where the memory limit is too low', async (test) => {
    using cgroup = limitedCgroup(96 << 20)
    if (cgroup === undefined) {
      test.skip('no cgroup with a memory limit can be made here')
      return
    }
    const within = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
    const inCgroup = (rows: number): Promise<string> =>
      run('sh', ['-c', within, cgroup.folder, process.execPath, ...argumentsFor(rows)])

    expect(outcomeOf(await inCgroup(4_000_000))).toMatchObject({ code: 'bpf_no_memory' })
    expect(outcomeOf(await inCgroup(65_536)).rows).toBeGreaterThan(0)
  })
})
