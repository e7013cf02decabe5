/** `npm run bench -- NAME [--json]`: measures, and prints a table, or one JSON object. */
import { renderReport, reportOf, type BenchResult } from './result.ts'

/** Each benchmark is imported only when it runs. */
const benchmarks: Readonly<Record<string, () => Promise<BenchResult>>> = {
  exporter: async () => (await import('./exporter.ts')).exporter(),
  'exporter-soak': async () => (await import('./exporter-soak.ts')).exporterSoak(),
  registrar: async () => (await import('./registrar.ts')).registrar(),
  start: async () => (await import('./start.ts')).start(),
  proxy: async () => (await import('./proxy.ts')).proxy(),
  cadvisor: async () => (await import('./cadvisor.ts')).cadvisor(),
  pages: async () => (await import('./pages.ts')).pages(),
  capture: async () => (await import('./capture.ts')).capture(),
  'proxy-soak': async () => (await import('./proxy-soak.ts')).proxySoak(),
  sockets: async () => (await import('./sockets.ts')).sockets(),
  requests: async () => (await import('./requests.ts')).requests(),
  stack: async () => (await import('./stack.ts')).stack(),
  monitor: async () => (await import('./monitor.ts')).monitor(),
  sockops: async () => (await import('./sockops.ts')).sockops(),
  'sockops-soak': async () => (await import('./sockops-soak.ts')).sockopsSoak(),
}

// What was started ends with this process, but not where a signal simply kills it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const names = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const [name = ''] = names
const benchmark = benchmarks[name]
if (names.length !== 1 || benchmark === undefined) {
  const known = Object.keys(benchmarks).join(', ')
  console.error(
    `npm run bench -- NAME [--json]: expected one of ${known}, got ${JSON.stringify(names.join(' '))}`,
  )
  process.exitCode = 2
} else {
  const report = reportOf(name, await benchmark())
  console.log(process.argv.includes('--json') ? JSON.stringify(report) : renderReport(report))
}
