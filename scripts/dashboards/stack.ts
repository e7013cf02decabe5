import type { Row } from './dashboard.ts'

const of = 'cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"'
const byPod = { legend: '{{namespace}}/{{pod}}' }
const rate = (metric: string, more = ''): string => `rate(${metric}{${of}${more}}[$__rate_interval])`
const stage = { legend: '{{direction}} {{stage}}' }
const duration = 'podsonar_stack_duration_seconds_bucket'

/** The collector `stack`, which is off by default: for pods that are chosen. */
export const stackRow: Row = {
  title: 'Where packets spend their time (collector stack, chosen pods)',
  panels: [
    {
      title: 'Time in each stage, median',
      question: 'Device, IP, TCP, or the application that does not read?',
      queries: [
        { expr: `histogram_quantile(0.5, sum by (le, direction, stage) (${rate(duration)}))`, ...stage },
      ],
      unit: 's',
    },
    {
      title: 'Time in each stage, p99',
      question: 'Where do the slowest packets wait?',
      queries: [
        { expr: `histogram_quantile(0.99, sum by (le, direction, stage) (${rate(duration)}))`, ...stage },
      ],
      unit: 's',
    },
    {
      title: 'From the device to the application',
      question: 'Whose packets wait longest? Nine of ten are faster.',
      queries: [
        {
          expr: `topk(10, histogram_quantile(0.9, sum by (le, namespace, pod) (${rate(duration, ', direction="receive", stage="total"')})))`,
          ...byPod,
        },
      ],
      unit: 's',
    },
    {
      title: 'Dropped packets by reason',
      question: 'What does the kernel throw away, and why?',
      queries: [
        {
          expr: `sum by (reason) (${rate('podsonar_stack_dropped_packets_total')})`,
          legend: '{{reason}}',
        },
      ],
      unit: 'pps',
    },
    {
      title: 'Packets',
      question: 'Which pods are busiest?',
      queries: [
        {
          expr: `topk(10, sum by (namespace, pod) (${rate('podsonar_stack_receive_packets_total')} + ${rate('podsonar_stack_transmit_packets_total')}))`,
          ...byPod,
        },
      ],
      unit: 'pps',
    },
    {
      title: 'Mean size of packets',
      question: 'Many small packets, or few large ones?',
      queries: ['receive', 'transmit'].map((way) => ({
        expr: `sum(${rate(`podsonar_stack_${way}_bytes_total`)}) / (sum(${rate(`podsonar_stack_${way}_packets_total`)}) > 0)`,
        legend: way,
      })),
      unit: 'bytes',
    },
  ],
}
