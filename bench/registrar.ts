/**
 * The registrar, compiled as it is shipped, against a real Consul and a simulated API server with pods of 5 kB: how long a first fill takes, beside bare
 * transactions and beside one agent call after another; what 50,000 pods cost; how soon a change is in Consul.
 */
import { buildProgram } from '../lab/built-program.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { prepare } from '../lab/needs.ts'
import { changeLatency } from './registrar/change-latency.ts'
import { bigCluster } from './registrar/cluster.ts'
import { agentCalls, bareTransactions, coldStart } from './registrar/fill.ts'
import { prometheusConnections } from './registrar/prometheus.ts'
import type { BenchResult, BenchRow } from './result.ts'

const nodes = 1_000

export async function registrar(): Promise<BenchResult> {
  const missing = Object.values(await prepare(['consul', 'prometheus']))
  if (missing.length > 0) throw new Error(missing.join('; '))
  const rows: BenchRow[] = []
  const row = (what: string, subject: string, value: number, unit: BenchRow['unit']): void => {
    rows.push({ what, subject, value, unit })
  }

  await using folder = await TemporaryFolder.create('bench')
  const entry = await buildProgram(folder.path, false)

  await using cluster20k = await bigCluster(20_000, nodes)
  const services = 20_000 + nodes
  const cold = await coldStart(cluster20k, entry)
  const bare = await bareTransactions(cold.services)
  const calls = await agentCalls(cold.services.slice(0, 500))
  row('20,000 pods and 1,000 nodes registered, from process start', 'podsonar', cold.seconds, 's')
  row('the same, its CPU time', 'podsonar', cold.cpuSeconds, 's')
  row('the same services', 'bare transactions, four in flight', bare, 's')
  row('registrations', 'podsonar', services / cold.seconds, 'services/s')
  row('registrations', 'bare transactions', services / bare, 'services/s')
  row('registrations', 'one agent call after another', calls, 'services/s')

  const latencies = await changeLatency(cluster20k, entry)
  row('a change is in Consul, 100 a second, median', 'podsonar', latencies.medianMs, 'ms')
  row('a change is in Consul, 100 a second, 99th percentile', 'podsonar', latencies.p99Ms, 'ms')

  await using cluster50k = await bigCluster(50_000, nodes)
  const large = await coldStart(cluster50k, entry, { fullSyncs: 1, watchTurns: true })
  row('50,000 pods and 1,000 nodes registered, from process start', 'podsonar', large.seconds, 's')
  row('peak memory with 50,000 pods, a full reconciliation included', 'podsonar', large.peakRssMiB, 'MiB')
  row('longest turn of the event loop with 50,000 pods', 'podsonar', large.eventLoopMaxMs, 'ms')
  row('most CPU time of its own in one turn, 50,000 pods', 'podsonar', large.ownTurnMaxMs, 'ms')
  row('a full reconciliation that changes nothing, 50,000 pods', 'podsonar', large.idleSyncSeconds, 's')

  const found = await prometheusConnections(10_000, entry)
  row('10,000 services under one name: targets found', 'Prometheus', found.targets, 'count')
  row('10,000 services under one name: connections to Consul', 'Prometheus', found.connections, 'count')

  return {
    rows,
    ratios: {
      coldStartVsRawTxn: cold.seconds / bare,
      agentVsCatalog: services / cold.seconds / calls,
      peakRssMiB50k: large.peakRssMiB,
      changeP99Ms: latencies.p99Ms,
      eventLoopMaxMs50k: large.eventLoopMaxMs,
      ownTurnMaxMs50k: large.ownTurnMaxMs,
    },
  }
}
