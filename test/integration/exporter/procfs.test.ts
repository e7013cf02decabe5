import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { waitFor } from '../../../lab/wait.ts'
import { Procfs } from '../../../src/exporter/procfs.ts'

it('tells of a process that it holds whether it lives, and lets go of it', async () => {
  const procfs = Procfs.open('/proc')
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
  await once(child, 'spawn')
  const ended = once(child, 'exit')
  const held = procfs.hold(child.pid ?? 0)
  expect(held.lives).toBe(true)
  child.kill('SIGKILL')
  await ended
  await waitFor('the process to be gone', () => !held.lives)
  held[Symbol.dispose]()
  expect(() => held.lives).toThrow('EBADF')
  expect(() => procfs.hold(child.pid ?? 0)).toThrow(/it ended/)
})
