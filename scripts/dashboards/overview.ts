import type { Dashboard } from './dashboard.ts'

const of = 'cluster=~"$cluster"'

export const overview: Dashboard = {
  uid: 'podsonar-overview',
  title: 'podsonar: overview',
  description: 'All clusters at a glance: what is scraped, what hangs, what is busy.',
  variables: ['cluster'],
  rows: [
    {
      title: 'Discovery',
      panels: [
        {
          title: 'Targets up',
          question: 'How much of what was found can be scraped?',
          kind: 'stat',
          queries: [{ expr: `sum by (job) (up{${of}})`, legend: '{{job}}' }],
        },
        {
          title: 'Targets down',
          question: 'What was found and cannot be scraped?',
          kind: 'stat',
          queries: [{ expr: `sum by (job) (1 - up{${of}})`, legend: '{{job}}' }],
        },
        {
          title: 'Wanted by the registrar',
          question: 'How many should there be?',
          kind: 'stat',
          queries: [
            {
              expr: `max by (cluster, kind) (podsonar_registrar_desired_services{${of}})`,
              legend: '{{cluster}} {{kind}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Connections',
      panels: [
        {
          title: 'Sockets by state',
          question: 'What do the connections of all pods look like?',
          queries: [{ expr: `sum by (status) (pod_connect_info{${of}})`, legend: '{{status}}' }],
          width: 12,
          stacked: true,
        },
        {
          title: 'Most CLOSE_WAIT',
          question: 'Which pods hang?',
          kind: 'bargauge',
          queries: [
            {
              expr: `topk(10, sum by (pod_namespace, pod_name) (pod_connect_info{${of}, status="CLOSE_WAIT"}))`,
              legend: '{{pod_namespace}}/{{pod_name}}',
            },
          ],
          width: 12,
        },
        {
          title: 'Connections opened and failed',
          question: 'Do connects work?',
          queries: [
            {
              expr: `sum by (direction) (rate(container_tcp_connections_opened_total{${of}}[$__rate_interval]))`,
              legend: '{{direction}}',
            },
            {
              expr: `sum by (reason) (rate(container_tcp_connect_failures_total{${of}}[$__rate_interval]))`,
              legend: 'failed: {{reason}}',
            },
          ],
          unit: 'ops',
          width: 12,
        },
        {
          title: 'Busiest pods',
          question: 'Who moves most bytes over TCP?',
          queries: [
            {
              expr: `topk(10, sum by (namespace, pod) (rate(container_tcp_received_bytes_total{${of}}[$__rate_interval]) + rate(container_tcp_sent_bytes_total{${of}}[$__rate_interval])))`,
              legend: '{{namespace}}/{{pod}}',
            },
          ],
          unit: 'Bps',
          width: 12,
        },
      ],
    },
    {
      title: 'Nodes',
      panels: [
        {
          title: 'Containers',
          question: 'How many containers run on each node?',
          queries: [{ expr: `podsonar_containers{${of}}`, legend: '{{instance}}' }],
        },
        {
          title: 'Collectors that fail',
          question: 'Is anything missing because it cannot be read?',
          kind: 'stat',
          queries: [
            { expr: `sum by (collector) (1 - podsonar_collector_success{${of}})`, legend: '{{collector}}' },
          ],
        },
        {
          title: 'Source of the sockets',
          question: 'On how many nodes does eBPF work, and how many fall back to /proc?',
          kind: 'stat',
          queries: [
            { expr: `count by (source) (podsonar_socket_table_age_seconds{${of}})`, legend: '{{source}}' },
          ],
        },
      ],
    },
  ],
}
