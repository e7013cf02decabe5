/** What tcp_health costs under as many connections as this machine can make. */
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { libbpfFile } from '../lab/needs.ts'
import { run } from '../lab/process.ts'
import { silentLogger } from '../src/common/logger.ts'
import { tcpHealthField, tcpHealthFields } from '../src/exporter/core/decode-tcp-health.ts'
import { TcpHealthReader } from '../src/exporter/ebpf/tcp-health-reader.ts'
import { median } from './result.ts'

const program = fileURLToPath(new URL('../lab/connection-storm.ts', import.meta.url))

export interface StormResult {
  /** Connections for each second that a processor worked, medians: what other work on the machine hardly changes. */
  readonly without: number
  readonly with: number
  /** Share of the throughput that is lost: median over pairs. */
  readonly loss: number
  /** Connections that the storm made while it was watched, and those that were counted. */
  readonly made: number
  readonly counted: number
}

/** Pairs of storms, one with tcp_health and one without, in turn; the order within a pair changes too. */
export async function healthStorm(pairs: number, seconds: number): Promise<StormResult> {
  const plain: number[] = []
  const watched: number[] = []
  let [made, counted] = [0, 0]
  const storms = {
    plain: async () => {
      plain.push((await storm(seconds)).rate)
    },
    watched: async () => {
      using reader = new TcpHealthReader({ log: silentLogger, libbpf: libbpfFile() })
      const { rate, connections, namespaces } = await storm(seconds)
      watched.push(rate)
      made += connections
      counted += connectsOf(reader, namespaces)
    },
  }
  for (let pair = 0; pair < pairs; pair += 1) {
    const order = pair % 2 === 0 ? [storms.plain, storms.watched] : [storms.watched, storms.plain]
    for (const one of order) await one()
  }
  const losses = plain.map((rate, pair) => 1 - (watched[pair] ?? Number.NaN) / rate)
  return { without: median(plain), with: median(watched), loss: median(losses), made, counted }
}

interface Storm {
  readonly rate: number
  readonly connections: number
  readonly namespaces: ReadonlySet<number>
}

/** One process on each processor. */
async function storm(seconds: number): Promise<Storm> {
  const outputs = await Promise.all(
    cpus().map((_cpu, index) => {
      const inNamespace = ['unshare', '--net', process.execPath, program, String(seconds)]
      return run('taskset', ['-c', String(index), ...inNamespace])
    }),
  )
  const results = outputs.map(
    (text) => JSON.parse(text) as { connections: number; cpuSeconds: number; namespace: number },
  )
  const sum = (pick: (one: (typeof results)[number]) => number): number =>
    results.reduce((total, one) => total + pick(one), 0)
  const connections = sum((one) => one.connections)
  return {
    rate: connections / sum(({ cpuSeconds }) => cpuSeconds),
    connections,
    namespaces: new Set(results.map(({ namespace }) => namespace)),
  }
}

/** Outbound connections of some namespaces. */
function connectsOf(reader: TcpHealthReader, namespaces: ReadonlySet<number>): number {
  const { rows } = reader.read(3_600)
  let sum = 0
  for (let row = 0; row < rows.length; row += 1)
    if (namespaces.has(rows.namespace[row] ?? 0))
      sum += rows.counters[row * tcpHealthFields + tcpHealthField.connects] ?? 0
  return sum
}
