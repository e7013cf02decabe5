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
  /** Connections a second of the whole machine, medians. */
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
      const before = connectsOf(reader)
      const { rate, connections } = await storm(seconds)
      watched.push(rate)
      made += connections
      counted += connectsOf(reader) - before
    },
  }
  for (let pair = 0; pair < pairs; pair += 1) {
    const order = pair % 2 === 0 ? [storms.plain, storms.watched] : [storms.watched, storms.plain]
    for (const one of order) await one()
  }
  const losses = plain.map((rate, pair) => 1 - (watched[pair] ?? Number.NaN) / rate)
  return { without: median(plain), with: median(watched), loss: median(losses), made, counted }
}

/** One process on each processor. */
async function storm(seconds: number): Promise<{ rate: number; connections: number }> {
  const outputs = await Promise.all(
    cpus().map((_cpu, index) =>
      run('taskset', [
        ...['-c', String(index), 'unshare', '--net'],
        ...[process.execPath, program, String(seconds)],
      ]),
    ),
  )
  const results = outputs.map((text) => JSON.parse(text) as { connections: number; seconds: number })
  return {
    rate: results.reduce((sum, one) => sum + one.connections / one.seconds, 0),
    connections: results.reduce((sum, one) => sum + one.connections, 0),
  }
}

/** Outbound connections of all namespaces. Nothing else on the machine should connect meanwhile. */
function connectsOf(reader: TcpHealthReader): number {
  const { rows } = reader.read(3_600)
  let sum = 0
  for (let row = 0; row < rows.length; row += 1)
    sum += rows.counters[row * tcpHealthFields + tcpHealthField.connects] ?? 0
  return sum
}
