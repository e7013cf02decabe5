import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { libbpfFile } from '../../../lab/needs.ts'
import { lives, SocketHolder } from '../../../lab/network-namespace.ts'
import { Process } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import {
  failureReasons,
  tcpHealthField as field,
  tcpHealthFields,
} from '../../../src/exporter/core/decode-tcp-health.ts'
import { LiveTcpBuilder } from '../../../src/exporter/core/live-tcp.ts'
import { SocketTableReader } from '../../../src/exporter/ebpf/socket-table-reader.ts'
import { TcpHealthReader, type TcpHealthReading } from '../../../src/exporter/ebpf/tcp-health-reader.ts'
import { describeWith } from '../../setup/needs.ts'
import { allPrograms, missedOnTheNode, programsOf } from '../../support/bpf-programs.ts'
import { socketRows } from '../../support/proc-sockets.ts'

const program = fileURLToPath(new URL('../../support/hold-programs.ts', import.meta.url))
const usual = { log: silentLogger, libbpf: libbpfFile() }

/** The counters of a namespace, all its cgroups together. */
function countersOf({ rows }: TcpHealthReading, namespace: number): number[] {
  const sums = new Array<number>(tcpHealthFields).fill(0)
  for (let row = 0; row < rows.length; row += 1)
    if (rows.namespace[row] === namespace)
      for (let k = 0; k < tcpHealthFields; k += 1)
        sums[k] = (sums[k] ?? 0) + (rows.counters[row * tcpHealthFields + k] ?? 0)
  return sums
}

/** The line Tcp of /proc/PID/net/snmp. */
function kernelCounters(pid: number): Record<string, number> {
  const [names = [], values = []] = readFileSync(`/proc/${pid}/net/snmp`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' ').slice(1))
  return Object.fromEntries(names.map((name, index) => [name, Number(values[index])]))
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

describeWith(['root', 'bpf'], 'TCP health from tracepoints', () => {
  it('counts every connection, failure, reset, retransmission and byte, none more and none less', async () => {
    using reader = new TcpHealthReader(usual)
    await using holder = await SocketHolder.lives(1)

    // The connection that fills a queue goes on trying.
    const [reading, kernel] = await waitFor('a moment in which nothing is sent again', () => {
      const [before, now, after] = [kernelCounters(holder.pid), reader.read(0), kernelCounters(holder.pid)]
      return before['RetransSegs'] === after['RetransSegs'] ? ([now, after] as const) : undefined
    })

    const counters = countersOf(reading, holder.namespace)
    const established = lives.ended + lives.reset + lives.open + 1 // and the one that fills the queue
    const closed = lives.ended + lives.reset
    expect(counters[field.connects]).toBe(established)
    expect(counters[field.accepts]).toBe(established)
    const failures = failureReasons.map((reason, index) => [reason, counters[field.failures + index]])
    expect(Object.fromEntries(failures)).toEqual({
      refused: lives.refused,
      timed_out: 1,
      local: lives.abandoned,
      unreachable: 0,
      reset: 0,
      other: 0,
    })
    // What the kernel itself counts for the namespace: RFC 4022 (tcpActiveOpens …), all attempts by connect.
    const failed = lives.refused + lives.abandoned + 1
    expect(kernel).toMatchObject({
      ActiveOpens: established + failed,
      PassiveOpens: established,
      AttemptFails: failed - lives.abandoned, // those given up by the application do not count there
    })
    expect(counters[field.retransmits]).toBe(kernel['RetransSegs'])
    expect(kernel['RetransSegs']).toBeGreaterThan(0)
    expect(counters[field.resetsSent]).toBe(lives.refused + lives.reset)
    expect(counters[field.resetsReceived]).toBe(lives.refused + lives.reset)
    // The kernel's own figures: a SYN and a FIN count as a byte each.
    for (const bytes of [counters[field.bytesReceived] ?? 0, counters[field.bytesAcked] ?? 0]) {
      expect(bytes).toBeGreaterThanOrEqual(closed * lives.bytesEach)
      expect(bytes).toBeLessThanOrEqual(closed * (lives.bytesEach + 4))
    }
    expect(sum(counters.slice(field.connectBuckets, field.lifetimeBuckets))).toBe(established)
    expect(sum(counters.slice(field.lifetimeBuckets))).toBe(closed * 2)
    const long = reading.long.filter(({ namespace }) => namespace === holder.namespace)
    expect(sum(long.map(({ count }) => count))).toBe((lives.open + 1) * 2)
    expect(reading.lost).toBeLessThan(missedOnTheNode)
  })

  it('counts segments that are sent again as the kernel does: each of a packet, and the answers of a listener', async () => {
    using reader = new TcpHealthReader(usual)
    await using holder = await SocketHolder.losses()

    const counters = countersOf(reader.read(0), holder.namespace)

    const { RetransSegs: resent } = kernelCounters(holder.pid)
    expect(counters[field.retransmits]).toBe(resent)
    expect(resent).toBeGreaterThan(10)
  })

  it('adds the bytes and round-trip times of open connections from the table', async () => {
    using reader = new SocketTableReader(usual)
    await using holder = await SocketHolder.lives()

    const builder = new LiveTcpBuilder()
    for (const { namespace, cgroupId, state, srttUs, bytesReceived, bytesAcked } of socketRows(reader))
      if (namespace === holder.namespace)
        builder.add(namespace, cgroupId, state, srttUs, bytesReceived, bytesAcked)

    const live = builder.finish()
    expect(live.length).toBe(1)
    expect(live.bytesReceived[0]).toBe(lives.open * lives.bytesEach)
    expect(sum([...live.rtt])).toBe((lives.open + 1) * 2)
  })

  it('keeps its counts when connections are more than it remembers', async () => {
    using reader = new TcpHealthReader({ ...usual, maxConnections: 64 })
    await using holder = await SocketHolder.lives()

    const counters = countersOf(reader.read(0), holder.namespace)

    expect(counters[field.connects]).toBe(lives.ended + lives.reset + lives.open + 1)
    expect(reader.read(0).connections).toBeLessThanOrEqual(64)
  })

  it('says how many events it could not count when owners are more than it has room for', async () => {
    using reader = new TcpHealthReader({ ...usual, maxOwners: 1 })
    await using _first = await SocketHolder.lives()
    await using _second = await SocketHolder.lives()

    await waitFor('the map to be full', () => {
      const { rows, lost } = reader.read(0)
      expect(rows.length).toBe(1)
      return lost > 0
    })
  })

  it('forgets owners that are gone', async () => {
    using reader = new TcpHealthReader(usual)
    await using holder = await SocketHolder.lives()
    const { rows } = reader.read(0)
    const { namespace } = holder
    expect(rows.namespace).toContain(namespace)

    reader.forget([...rows.cgroupId].map((cgroupId) => ({ cgroupId, namespace })))

    expect(reader.read(0).rows.namespace).not.toContain(namespace)
  })

  it('leaves nothing in the kernel when its process is killed', async () => {
    await using holder = await Process.start('holder', process.execPath, [program, libbpfFile()])
    await waitFor('the programs to be attached', () => holder.stdout.includes('ready'))
    const ids = programsOf(holder.pid)
    expect(ids.length).toBeGreaterThanOrEqual(5)
    expect([...allPrograms()]).toEqual(expect.arrayContaining(ids))

    holder.kill('SIGKILL')
    await holder.exited

    await waitFor('the programs to be gone', () => allPrograms().isDisjointFrom(new Set(ids)))
  })
})
