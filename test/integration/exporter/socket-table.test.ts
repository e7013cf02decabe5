import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/common/logger.ts'
import { readSummary } from '../../../src/exporter/collectors/sockstat.ts'
import { DetailedSocketRow } from '../../../src/exporter/core/decode-socket-rows.ts'
import { summarizeWithTable } from '../../../src/exporter/core/socket-summary.ts'
import { SocketTableBuilder } from '../../../src/exporter/core/socket-table-builder.ts'
import { partial, tcpState, type SocketTable } from '../../../src/exporter/core/socket-table.ts'
import { SocketTableReader, type SocketFields } from '../../../src/exporter/ebpf/socket-table-reader.ts'
import { Procfs } from '../../../src/exporter/procfs.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { SocketHolder } from '../../../lab/network-namespace.ts'
import { Process } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { describeRow, procSockets, socketRows } from '../../support/proc-sockets.ts'

/** What the pass sees of one namespace, in the notation of /proc. */
function passSockets(reader: SocketTableReader, namespace: number): string[] {
  return socketRows(reader)
    .filter((row) => row.namespace === namespace)
    .map(describeRow)
    .sort()
}

/** How many TIME_WAIT sockets the kernel counts in the namespace of a process: proc(5), net/sockstat. */
function timeWaitOf(pid: number): number {
  return Number(/^TCP: .* tw (\d+) /m.exec(readFileSync(`/proc/${pid}/net/sockstat`, 'utf8'))?.[1])
}

function tableOfPass(reader: SocketTableReader, fields: SocketFields): SocketTable {
  const { rows, pass } = reader.read(fields)
  const builder = new SocketTableBuilder({}, pass.rows)
  rows.addTo(builder, undefined, pass.rows)
  return builder.finish()
}

const usual = { log: silentLogger, libbpf: libbpfFile() }

function statesOf(rows: readonly string[]): Set<string> {
  return new Set(rows.map((row) => /^(\w+).* state (\d+)/.exec(row)?.slice(1).join(' ') ?? ''))
}

/** Compares until /proc itself stood still: the kernel delays some changes, such as the drops of a UDP socket. */
async function expectEqual(reader: SocketTableReader, holder: SocketHolder): Promise<string[]> {
  return waitFor('two equal readings of /proc', () => {
    const before = procSockets(holder.pid)
    const rows = passSockets(reader, holder.namespace)
    const after = procSockets(holder.pid)
    if (before.join() !== after.join()) return undefined
    expect(rows).toEqual(before)
    return rows
  })
}

describeWith(['root', 'bpf'], 'the socket table of one eBPF pass', () => {
  for (const reads of ['cast', 'probe'] as const) {
    it(`equals /proc row for row, in every state (${reads})`, async () => {
      await using holder = await SocketHolder.states()
      using reader = new SocketTableReader({ ...usual, reads })

      const rows = await expectEqual(reader, holder)

      expect(statesOf(rows)).toEqual(
        // All that hash tables hold: a TCP socket in CLOSE (7) is in none, and /proc does not show it either.
        new Set([1, 2, 3, 4, 5, 6, 8, 9, 10, 11].map((state) => `tcp ${state}`).concat('udp 1', 'udp 7')),
      )
      expect(rows.length).toBeGreaterThan(600)
    })
  }

  it('has the sockets of a namespace with hash tables of its own', async () => {
    await using holder = await SocketHolder.states({
      tcp_child_ehash_entries: 64,
      udp_child_hash_entries: 256,
    })
    using reader = new SocketTableReader({ ...usual })

    await expectEqual(reader, holder)

    expect(reader.read().pass.privateTables).toBe(2)
  })

  it('grows its buffer instead of cutting the table short', async () => {
    await using holder = await SocketHolder.states()
    using reader = new SocketTableReader({ ...usual, rows: 16 })

    await expectEqual(reader, holder)
  })

  it('has every socket that stays, while others come and go by the thousand', async () => {
    await using holder = await SocketHolder.states()
    using reader = new SocketTableReader(usual)
    const storm = fileURLToPath(new URL('../../../lab/connection-storm.ts', import.meta.url))
    await using storming = await Process.start('storm', 'unshare', ['--net', process.execPath, storm, '600'])

    for (let passes = 0; passes < 8; passes += 1) {
      await expectEqual(reader, holder)
      await setImmediate() // lets the end of the process be noticed
    }

    expect(storming.running).toBe(true)
    expect(reader.read().pass.torn).toBe(0)
  })

  it('does not mind namespaces that end during the walk', async () => {
    await using holder = await SocketHolder.states()
    using reader = new SocketTableReader(usual)
    const script = 'n=0; while [ $n -lt 150 ]; do unshare --net true; n=$((n + 1)); done'
    await using ending = await Process.start('namespaces', 'sh', ['-c', script])

    while (ending.running) {
      await expectEqual(reader, holder)
      await setImmediate()
    }

    expect(await ending.exited).toMatchObject({ code: 0 })
  })

  it('has as many TIME_WAIT sockets as the kernel keeps', { timeout: 180_000 }, async () => {
    const setting = readFileSync('/proc/sys/net/ipv4/tcp_max_tw_buckets', 'utf8')
    const kept = Math.min(131_072, Number(setting))
    await using holder = await SocketHolder.ended(Math.round(kept * 1.06))
    using reader = new SocketTableReader(usual)

    const before = timeWaitOf(holder.pid)
    const table = tableOfPass(reader, 'few')
    const after = timeWaitOf(holder.pid)

    const seen = table.namespaces.get(holder.namespace)?.tcp[tcpState.timeWait] ?? 0
    expect(before).toBeGreaterThan(kept * 0.9)
    expect(before).toBeLessThanOrEqual(kept)
    expect(seen).toBeLessThanOrEqual(before)
    expect(seen).toBeGreaterThanOrEqual(after)
  })

  it('tells what net/snmp and net/sockstat6 tell', async () => {
    await using holder = await SocketHolder.states()
    using reader = new SocketTableReader(usual)
    const procfs = Procfs.trusted('/proc')

    const sockets = await waitFor('two equal readings of /proc', () => {
      const before = readSummary(procfs, holder.pid)
      const own = tableOfPass(reader, 'few').namespaces.get(holder.namespace)
      const sockstat = procfs.text(holder.pid, 'net/sockstat')
      if (own === undefined || !isDeepStrictEqual(readSummary(procfs, holder.pid), before)) return undefined
      expect(summarizeWithTable(sockstat, own)).toEqual(before)
      return own
    })

    for (const { [partial]: parts = 0, [tcpState.closeWait]: closing = 0 } of [sockets.tcp, sockets.tcp6]) {
      expect(parts).toBeGreaterThan(0)
      expect(closing).toBeGreaterThan(0)
    }
    expect(sockets.udp6.sockets).toBeGreaterThan(0)
  })

  it('reads of each socket what is asked for, and the rest all the same', async () => {
    await using holder = await SocketHolder.states()
    using reader = new SocketTableReader(usual)
    const own = (fields: SocketFields): DetailedSocketRow[] =>
      socketRows(reader, fields).filter((row) => row.namespace === holder.namespace)
    const isTcp = ({ protocol }: DetailedSocketRow): boolean => protocol === 'tcp'
    const without = (rows: readonly DetailedSocketRow[], figures: Partial<DetailedSocketRow>): object[] =>
      rows.filter(isTcp).map((row) => Object.assign(new DetailedSocketRow(), row, figures))
    const details = { uid: 0, rxQueue: 0, txQueue: 0, retransmits: 0 }
    const open = { srttUs: 0, bytesAcked: 0, bytesReceived: 0 }

    await waitFor('sockets that stand still', () => {
      const [all, live, few, again] = [own('all'), own('live'), own('few'), own('all')]
      if (!isDeepStrictEqual(all, again)) return undefined
      expect(live.filter(isTcp)).toEqual(without(all, details))
      expect(few.filter(isTcp)).toEqual(without(live, open))
      expect(all.some(({ bytesReceived, srttUs }) => bytesReceived > 0 && srttUs > 0)).toBe(true)
      return true
    })
  })

  it('can be loaded twice', async () => {
    await using holder = await SocketHolder.states()
    using first = new SocketTableReader({ ...usual })
    using second = new SocketTableReader({ ...usual })

    await expectEqual(first, holder)
    await expectEqual(second, holder)
  })
})
