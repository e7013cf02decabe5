/**
 * A program that opens the socket table as the exporter does with CONNECTIONS_SOURCE=auto and says, as JSON, which source
 * it got, what it logged, and how many sockets it read. Its argument: options as JSON.
 */
import { chooseSocketTableSource } from '../../src/exporter/ebpf/choose-source.ts'
import type { Logger } from '../../src/common/logger.ts'
import { EbpfWorker } from '../../src/exporter/ebpf/worker-client.ts'
import type { SocketTableSource } from '../../src/exporter/core/socket-table.ts'

const records: string[] = []
const log: Logger = {
  debug: () => undefined,
  info: (_fields, message) => records.push(message),
  warn: (_fields, message) => records.push(message),
  error: (_fields, message) => records.push(message),
  child: () => log,
}
const procfs: SocketTableSource = {
  name: 'procfs',
  read: () => Promise.resolve({ namespaces: new Map(), rows: 0 }),
}
const options = JSON.parse(process.argv[2] ?? '{}') as { libbpf?: string; objects?: string }

await using worker = new EbpfWorker(log)
const source = await chooseSocketTableSource({ choice: 'auto', procfs, log, worker, ...options })
const { rows } = await source.read([], AbortSignal.timeout(10_000))
console.log(JSON.stringify({ source: source.name, records, rows }))
