/** docs/metrics.md: what each mode tells of itself, read off the declarations. */
import type { Registry } from 'prom-client'
import { EventLoopTurns } from '../src/common/event-loop.ts'
import { createRegistry } from '../src/common/metrics.ts'
import { ExporterMetrics } from '../src/exporter/metrics.ts'
import { sidecarMetrics } from '../src/exporter/core/sidecar/counts.ts'
import { RequestMetrics } from '../src/exporter/requests/metrics.ts'
import { SockopsMetrics } from '../src/exporter/sockops/metrics.ts'
import type { MonitoredPod } from '../src/monitor/core/pod.ts'
import { MonitorMetrics } from '../src/monitor/metrics.ts'
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

/** One whose metrics are all there. */
const podWithSidecar: MonitoredPod = {
  ...{ node: '', runtime: '', namespace: '', name: '', uid: '', addresses: [], networkNamespace: 0, pid: 0 },
  containers: [{ name: '', image: '', pid: 0, cgroupIds: [], isSidecar: true }],
}

export function metricsMarkdown(): string {
  using turns = new EventLoopTurns()
  const common = createRegistry('registrar', turns)
  const shared = new Set(declared(common).map(({ name }) => name))
  const own = (mode: string, declare: (registry: Registry) => void): Declared[] => {
    const registry = createRegistry(mode, turns)
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
  const sidecar = Object.values(sidecarMetrics).map((one) => ({
    ...{ ...one, labelNames: ['namespace', 'pod', 'container', ...(one.type === 'counter' ? ['side'] : [])] },
  }))
  const monitor = declared(new MonitorMetrics(podWithSidecar).registry)
  return `# Metrics

<!-- Generated from the declarations in src by \`npm run docs\`: change them there. -->

What podsonar tells of itself at /metrics, and what the collector \`sidecar\` and \`podsonar monitor\` serve about pods. The series of
the other collectors are not among them: each in src/exporter/collectors says which it has.

## MODE=registrar

${table(registrar)}

\`podsonar_peer_info\` is served with PEER_INFO=true.

## MODE=proxy

${table(proxy)}

## MODE=exporter

${table(exporter)}

### Collector \`sidecar\`

${table(sidecar)}

The collectors of eBPF that watch chosen pods have pages of their own: [requests.md](requests.md), [stack.md](stack.md),
[sidecar.md](sidecar.md).

## podsonar monitor

${table(monitor)}

All have the labels \`namespace\`, \`pod\` and \`node\` too; [monitor.md](monitor.md) says more of them. Those of the sidecar are absent where
the pod has none, and \`podsonar_stack_*\` are as [stack.md](stack.md) has them.

## Every mode

${table(declared(common))}
`
}
