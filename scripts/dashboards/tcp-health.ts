import type { Dashboard } from './dashboard.ts'
import { sidecarRow } from './sidecar.ts'
import { stackRow } from './stack.ts'

const of = 'cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"'
const byPod = { legend: '{{namespace}}/{{pod}}' }
const rate = (metric: string, more = ''): string => `rate(${metric}{${of}${more}}[$__rate_interval])`
const topPods = (expr: string): string => `topk(10, sum by (namespace, pod) (${expr}))`

export const tcpHealth: Dashboard = {
  uid: 'podsonar-tcp-health',
  title: 'podsonar: TCP health',
  description: 'How connections begin, fare and end, by pod. Needs eBPF on the nodes.',
  variables: ['cluster', 'namespace', 'pod'],
  rows: [
    {
      title: 'Opening',
      panels: [
        {
          title: 'Connections opened',
          question: 'Who opens connections all the time instead of keeping them?',
          queries: [
            {
              expr: topPods(rate('container_tcp_connections_opened_total', ', direction="outbound"')),
              ...byPod,
            },
          ],
          unit: 'ops',
        },
        {
          title: 'Failed connects by reason',
          question:
            'refused: nobody listens. timed_out: nothing answers. unreachable: no route. local: its own fault.',
          queries: [
            {
              expr: `sum by (reason) (${rate('container_tcp_connect_failures_total')})`,
              legend: '{{reason}}',
            },
          ],
          unit: 'ops',
        },
        {
          title: 'Failed connects by pod',
          question: 'Which pod cannot reach what it needs?',
          queries: [{ expr: topPods(rate('container_tcp_connect_failures_total')), ...byPod }],
          unit: 'ops',
        },
        {
          title: 'Time to connect',
          question:
            'How long does a pod wait for a connection to stand? One second and three are SYNs sent again.',
          queries: ['0.5', '0.95', '0.99'].map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (le) (${rate('container_tcp_connect_duration_seconds_bucket')}))`,
            legend: `p${Number(quantile) * 100}`,
          })),
          unit: 's',
          width: 12,
        },
        {
          title: 'Lifetime of connections',
          question: 'Are connections used once, or pooled?',
          queries: ['0.1', '0.5', '0.9'].map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (le) (${rate('container_tcp_connection_lifetime_seconds_bucket')}))`,
            legend: `p${Number(quantile) * 100}`,
          })),
          unit: 's',
          width: 12,
        },
      ],
    },
    {
      title: 'On the way',
      panels: [
        {
          title: 'Segments sent again',
          question: 'Whose network loses packets?',
          queries: [{ expr: topPods(rate('container_tcp_retransmits_total')), ...byPod }],
          unit: 'ops',
        },
        {
          title: 'Round-trip time of open connections',
          question: 'How far away are the peers?',
          queries: ['0.5', '0.9'].map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (le) (container_tcp_rtt_seconds_bucket{${of}}))`,
            legend: `p${Number(quantile) * 100}`,
          })),
          unit: 's',
        },
        {
          title: 'Resets',
          question: 'Who hangs up hard, or knocks where nobody listens?',
          queries: [
            {
              expr: `sum by (direction) (${rate('container_tcp_resets_total')})`,
              legend: '{{direction}}',
            },
          ],
          unit: 'ops',
        },
        {
          title: 'Bytes received',
          question: 'Who takes in most?',
          queries: [{ expr: topPods(rate('container_tcp_received_bytes_total')), ...byPod }],
          unit: 'Bps',
        },
        {
          title: 'Bytes sent',
          question: 'Who sends most?',
          queries: [{ expr: topPods(rate('container_tcp_sent_bytes_total')), ...byPod }],
          unit: 'Bps',
        },
        {
          title: 'Long connections',
          question: 'Which connections hold on to a backend that should have been drained?',
          queries: [
            { expr: `topk(10, sum by (namespace, pod) (container_tcp_long_connections{${of}}))`, ...byPod },
          ],
        },
      ],
    },
    stackRow,
    sidecarRow,
  ],
}
