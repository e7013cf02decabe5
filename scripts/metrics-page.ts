/** docs/metrics.md: what each mode tells of itself, read off the declarations. */
import type { Registry } from 'prom-client'
import { createRegistry } from '../src/common/metrics.ts'
import { ExporterMetrics } from '../src/exporter/metrics.ts'
import { RequestMetrics } from '../src/exporter/requests/metrics.ts'
import { SockopsMetrics } from '../src/exporter/sockops/metrics.ts'
import { ProxyMetrics } from '../src/proxy/metrics.ts'
import { registrarMetrics } from '../src/registrar/metrics.ts'
import { peerInfoHelp, peerInfoLabels, peerInfoName } from '../src/registrar/peer-metrics.ts'
import { sourceMetrics } from '../src/registrar/source-metrics.ts'

interface Declared {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames: readonly string[]
}

/** The metrics of a registry; prom-client's types leave their properties out. */
function declared(registry: Registry): Declared[] {
  return (registry.getMetricsAsArray() as unknown as (Omit<Declared, 'type'> & { type: unknown })[]).map(
    ({ name, help, type, labelNames }) => ({ name, help, type: String(type), labelNames }),
  )
}

function table(metrics: readonly Declared[]): string {
  const rows = metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, help, type, labelNames }) => {
      const labels = labelNames.map((label) => `\`${label}\``).join(', ')
      return `| \`${name}\` | ${type} | ${labels} | ${help.replaceAll('|', '\\|')} |`
    })
  return ['| metric | type | labels | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

export function metricsMarkdown(): string {
  const common = createRegistry('registrar')
  const shared = new Set(declared(common).map(({ name }) => name))
  const own = (mode: string, declare: (registry: Registry) => void): Declared[] => {
    const registry = createRegistry(mode)
    declare(registry)
    const metrics = declared(registry).filter(({ name }) => !shared.has(name))
    registry.clear()
    return metrics
  }
  const registrar = own('registrar', (registry) => {
    registrarMetrics(registry, () => undefined)
    sourceMetrics(registry, () => [])
  })
  registrar.push({ name: peerInfoName, help: peerInfoHelp, type: 'gauge', labelNames: peerInfoLabels })
  const proxy = own('proxy', (registry) => {
    new ProxyMetrics(registry, {
      nodes: () => 0,
      inFlight: () => 0,
      connections: () => ({ active: 0, idle: 0 }),
      tokenReadAtMs: () => undefined,
    })
  })
  const exporter = own('exporter', (registry) => {
    new ExporterMetrics(registry)
    new RequestMetrics(registry)
    new SockopsMetrics(registry)
  })
  return `# Metrics

<!-- Generated from the declarations in src by \`npm run docs\`: change them there. -->

What podsonar tells of itself at /metrics. The series that the exporter's collectors serve about pods and containers are not
among them: each collector in src/exporter/collectors says which it has.

## MODE=registrar

${table(registrar)}

\`podsonar_peer_info\` is served with PEER_INFO=true.

## MODE=proxy

${table(proxy)}

## MODE=exporter

${table(exporter)}

## Every mode

${table(declared(common))}
`
}
