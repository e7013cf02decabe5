import { expect, it } from 'vitest'
import { libbpfFile } from '../../../lab/needs.ts'
import { SocketHolder } from '../../../lab/network-namespace.ts'
import { waitFor } from '../../../lab/wait.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import type { ConnectionEvent } from '../../../src/exporter/core/decode-connection-event.ts'
import { ConnectionReader } from '../../../src/exporter/ebpf/connection-reader.ts'
import { missedOnTheNode } from '../../support/bpf-programs.ts'
import { describeWith } from '../../setup/needs.ts'

const usual = { log: silentLogger, libbpf: libbpfFile() }

describeWith(['root', 'bpf'], 'events of TCP connections', () => {
  it('come for every connection of a watched namespace, from its beginning to its end, and of no other', async () => {
    using reader = new ConnectionReader(usual)
    await using holder = await SocketHolder.states()
    reader.watch([holder.namespace])
    await using _others = await SocketHolder.lives()
    const counts: Partial<Record<ConnectionEvent['step'], number>> = {}
    const drain = (): void => {
      reader.drain(({ step, namespace }) => {
        expect(namespace).toBe(holder.namespace)
        counts[step] = (counts[step] ?? 0) + 1
      })
    }
    {
      await using _connections = await SocketHolder.connections(100, [holder.pid])
      drain()
      expect(counts).toEqual({ connecting: 100, connected: 100, accepted: 100 })
    }
    await waitFor('all to be closed', () => {
      drain()
      return counts.closed === 200
    })
    expect(reader.lost).toBeLessThan(missedOnTheNode)
    reader.watch([])
    await using _unseen = await SocketHolder.connections(10, [holder.pid])
    drain()
    expect(counts.connecting).toBe(100)
  })

  it('say how many there was no room for', async () => {
    using reader = new ConnectionReader({ ...usual, ringBytes: 4_096 })
    await using holder = await SocketHolder.states()
    reader.watch([holder.namespace])
    await using _more = await SocketHolder.connections(100, [holder.pid])
    const events: ConnectionEvent[] = []
    reader.drain((event) => events.push(event))

    expect(events.length).toBeGreaterThan(0)
    expect(events.filter(({ namespace }) => namespace !== holder.namespace)).toEqual([])
    expect(events.every(({ step }) => ['connecting', 'connected', 'accepted'].includes(step))).toBe(true)
    const all = 300 // a hundred of each
    expect(events.length).toBeLessThan(all)
    expect(reader.lost).toBeGreaterThanOrEqual(all - events.length)
    expect(reader.lost).toBeLessThan(all - events.length + missedOnTheNode)
  })
})
