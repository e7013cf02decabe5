import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { run, type Process } from '../../../../lab/process.ts'
import { ShortCutCgroup } from '../../../../lab/short-cut-cgroup.ts'
import { waitFor } from '../../../../lab/wait.ts'
import { describeWith } from '../../../setup/needs.ts'
import { allPrograms, programsOf } from '../../../support/bpf-programs.ts'

const script = fileURLToPath(new URL('../../../support/socket-cases.py', import.meta.url))

describeWith(['root', 'bpf', 'python3'], 'the programs that short-cut connections', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'lose no byte when they are stopped under load by %s',
    async (signal) => {
      for (const name of ['long_exchange', 'large']) {
        await using shortCut = await ShortCutCgroup.start()
        const programs = programsOf(shortCut.holder.pid)
        expect(programs.length).toBeGreaterThan(2)
        const args = [script, name, 'v4']
        await using started: Process = await shortCut.cgroup.start('case', 'python3', args)
        await waitFor('messages to be handed over', () => shortCut.reading.messages > 0, { everyMs: 5 })
        expect(started.running).toBe(true)
        shortCut.holder.kill(signal)
        await shortCut.holder.exited
        expect(await started.exited).toMatchObject({ code: 0 })
        expect(started.stdout).toBe(await run('python3', args))
        if (signal === 'SIGTERM') expect(shortCut.holder.stdout).toContain('"left":')
        // Of one that was killed, the sockets were the last to hold the program.
        await waitFor('the kernel to drop the programs', () => programs.every((id) => !allPrograms().has(id)))
      }
    },
    180_000,
  )

  it('keep the bytes of a reader that stopped reading, until it reads', async () => {
    await using shortCut = await ShortCutCgroup.start()
    await using started: Process = await shortCut.cgroup.start('case', 'python3', [
      script,
      'reader_waits',
      'v4',
    ])
    await waitFor('bytes to wait for the reader', () => started.stdout.includes('waiting'))
    await waitFor('them to be counted', () => shortCut.reading.messages > 6)
    shortCut.holder.kill('SIGTERM')
    await shortCut.holder.exited
    expect(shortCut.holder.stdout).toContain('"left":1}')
    started.kill('SIGUSR1')
    expect(await started.exited).toMatchObject({ code: 0 })
    expect(started.stdout).toContain('"read", "kept for long"')
  })
})
