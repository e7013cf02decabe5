import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Process } from '../../lab/process.ts'
import { describeWith } from '../setup/needs.ts'

const demo = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))

async function check(...flags: string[]) {
  // A kubeconfig of the user's must not be touched: this one would make the demo fail.
  const env = { ...process.env, KUBECONFIG: '/nowhere' }
  await using started = await Process.start('demo', process.execPath, [demo, '--check', ...flags], { env })
  const exit = await started.exited
  if (exit.code !== 0)
    throw new Error(`the demo ended with ${exit.code ?? exit.signal ?? ''}: ${started.stderr}`)
  const lines = started.stdout.trim().split('\n')
  expect(lines).toHaveLength(1)
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>
}

describeWith(['consul', 'prometheus'], 'the demo', () => {
  it('shows every target up in a real Prometheus, and a change that comes, moves and goes', async () => {
    expect(await check()).toMatchObject({ ok: true, viewer: 'Prometheus', targets: 10 })
  }, 300_000)
})

describe('the demo without servers', () => {
  it('does the same with the embedded catalog and a small reader', async () => {
    expect(await check('--embedded')).toMatchObject({ ok: true, directory: 'embedded catalog', targets: 10 })
  }, 300_000)
})
