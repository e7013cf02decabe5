import type { Panel, Row } from './dashboard.ts'

const of = 'cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"'
const rate = (metric: string): string => `rate(${metric}{${of}}[$__rate_interval])`

/** Two quantiles, of each pod that is chosen. */
function delay(title: string, question: string, metric: string): Panel {
  return {
    title,
    question,
    queries: [
      { share: '0.5', name: 'p50' },
      { share: '0.99', name: 'p99' },
    ].map(({ share, name }) => ({
      expr: `topk(10, histogram_quantile(${share}, sum by (le, namespace, pod) (${rate(`${metric}_bucket`)})))`,
      legend: `{{namespace}}/{{pod}} ${name}`,
    })),
    unit: 's',
  }
}

/** The collector `sidecar`, which is off by default: for pods that are chosen. */
export const sidecarRow: Row = {
  title: 'Sidecars (collector sidecar, chosen pods)',
  panels: [
    delay(
      'Sidecar Process Forward Delay',
      'How long is a request in the sidecar before it goes on to the service?',
      'podsonar_sidecar_processing_duration_seconds',
    ),
    delay(
      'Establishing Connection Delay',
      'How long does the connection from the sidecar to the service take to stand?',
      'podsonar_sidecar_connect_duration_seconds',
    ),
    {
      title: 'Long Connection Hits',
      question: 'How often is a connection used again, by callers or to the service?',
      queries: [
        {
          expr: `topk(10, sum by (namespace, pod, side) (${rate('podsonar_sidecar_reused_connections_total')}))`,
          legend: '{{namespace}}/{{pod}} {{side}}',
        },
      ],
      unit: 'ops',
    },
  ],
}
