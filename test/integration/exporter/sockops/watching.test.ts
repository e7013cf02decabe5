import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { run, type Process } from '../../../../lab/process.ts'
import { ShortCutCgroup } from '../../../../lab/short-cut-cgroup.ts'
import { waitFor } from '../../../../lab/wait.ts'
import type { WatchedCgroup } from '../../../../lab/watched-cgroup.ts'
import { describeWith } from '../../../setup/needs.ts'

const script = fileURLToPath(new URL('../../../support/socket-cases.py', import.meta.url))
const tiny = [script, 'tiny', 'v4']

/** A connection that is used until it is told to end. */
async function staying(cgroup: WatchedCgroup): Promise<Process> {
  const started = await cgroup.start('case', 'python3', [script, 'stays', 'v4'])
  await waitFor('a connection to be used', () => started.stdout.includes('begun'))
  return started
}

async function endInOrder(started: Process): Promise<void> {
  started.kill('SIGUSR2')
  expect(await started.exited).toMatchObject({ code: 0 })
  expect(started.stdout).toContain('exchanged')
  expect(started.stdout).not.toContain('wrong')
}

describeWith(['root', 'bpf', 'python3'], 'the containers of short-cut connections', () => {
  it('are only watched at first, and then taken', async () => {
    await using shortCut = await ShortCutCgroup.start({ observeSeconds: 12 })
    expect(await shortCut.run('python3', tiny)).toBe(await run('python3', tiny))
    await waitFor('the connection to be seen', () => shortCut.reading.fallbacks.observed === 2)
    expect(await shortCut.nextReading()).toMatchObject({ messages: 0, connections: 0, open: 0 })
    await waitFor('a connection to be taken', async () => {
      await shortCut.run('python3', tiny)
      return shortCut.reading.messages > 0
    })
  })

  it('exclude themselves by a call while they are watched', async () => {
    await using shortCut = await ShortCutCgroup.start({ observeSeconds: 3, others: 1 })
    await shortCut.run('python3', [script, 'FIONREAD', 'v4'])
    const [other] = shortCut.others
    await waitFor('the other to be taken', async () => {
      await shortCut.run('python3', tiny, other)
      return shortCut.reading.messages > 0
    })
    const before = await shortCut.nextReading()
    expect(before.excluded).toEqual({ fionread: 1 })
    expect(await shortCut.run('python3', tiny)).toBe(await run('python3', tiny))
    const { messages, connections } = before
    expect(await shortCut.nextReading()).toMatchObject({ messages, connections })
  })

  it('share the room there is: further connections go the normal way', async () => {
    await using shortCut = await ShortCutCgroup.start({ maxConnections: 6 })
    const args = [script, 'many', 'v4']
    expect(await shortCut.run('python3', args)).toBe(await run('python3', args))
    // Eleven connections at a time, of which three find room for both their ends.
    const { fallbacks, connections, messages } = await shortCut.nextReading()
    expect({ noRoom: fallbacks.no_room, connections }).toEqual({ noRoom: 16, connections: 6 })
    expect(messages).toBeGreaterThan(0)
    await waitFor('their room to be given back', () => shortCut.reading.open === 0)
    await shortCut.run('python3', tiny)
    await waitFor('room that was given back to be used', () => shortCut.reading.messages > messages)
  })

  it.each(['excluded', 'removed'] as const)(
    'are let go of when they are %s, and leave their room to others',
    async (how) => {
      await using shortCut = await ShortCutCgroup.start({ maxConnections: 2, others: 1 })
      await using first = await staying(shortCut.cgroup)
      await waitFor('messages', () => shortCut.reading.messages > 20)
      expect(shortCut.reading.open).toBe(2)
      if (how === 'excluded') first.kill('SIGUSR1')
      else shortCut.holder.kill('SIGUSR2')
      await waitFor('its sockets to be given back', () => shortCut.reading.open === 0)
      expect(first.running).toBe(true)
      const { messages, fallbacks } = await shortCut.nextReading()
      expect(await shortCut.run('python3', tiny, shortCut.others[0])).toBe(await run('python3', tiny))
      await waitFor('messages of the other', () => shortCut.reading.messages > messages)
      expect(shortCut.reading.fallbacks.no_room).toBe(fallbacks.no_room)
      await endInOrder(first)
    },
  )

  it('are forgotten when they end after they were removed', async () => {
    await using shortCut = await ShortCutCgroup.start({ maxConnections: 2, others: 1 })
    await using first = await staying(shortCut.cgroup)
    await waitFor('messages', () => shortCut.reading.messages > 20)
    shortCut.holder.kill('SIGUSR2')
    first.kill('SIGKILL')
    await first.exited
    await waitFor('its connection to be forgotten', () => shortCut.reading.open === 0)
    const { messages } = await shortCut.nextReading()
    await shortCut.run('python3', tiny, shortCut.others[0])
    await waitFor('messages of the other', () => shortCut.reading.messages > messages)
  })
})
