import type { Dashboard } from './dashboard.ts'

const of = 'cluster=~"$cluster", pod_namespace=~"$namespace", pod_name=~"$pod"'
const pods = 'cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"'

/** What a port tells of who listens there, where it is a usual one. */
const known =
  '1433|1521|3306|5432|8123|9042|27017|9200|6379|11211|4222|5671|5672|9092|9093|61616|6650|2181|2379'

export const connections: Dashboard = {
  uid: 'podsonar-connections',
  title: 'podsonar: pod connections',
  description: 'Who talks to whom, and which connections hang.',
  variables: ['cluster', 'namespace', 'pod'],
  rows: [
    {
      title: 'States',
      panels: [
        {
          title: 'Sockets by state',
          question: 'How many sockets are in which state?',
          queries: [{ expr: `sum by (status) (pod_connect_info{${of}})`, legend: '{{status}}' }],
          width: 12,
        },
        {
          title: 'CLOSE_WAIT by pod',
          question:
            'Which pods do not close what their peers have closed? A line that only climbs is a leak.',
          queries: [
            {
              expr: `topk(10, sum by (pod_namespace, pod_name, container) (pod_connect_info{${of}, status="CLOSE_WAIT"}))`,
              legend: '{{pod_namespace}}/{{pod_name}} {{container}}',
            },
          ],
          width: 12,
        },
        {
          title: 'Sockets by pod',
          question: 'Which pods hold most sockets?',
          queries: [
            {
              expr: `topk(10, sum by (pod_namespace, pod_name) (pod_connect_info{${of}}))`,
              legend: '{{pod_namespace}}/{{pod_name}}',
            },
          ],
        },
        {
          title: 'TIME_WAIT by pod',
          question:
            'Which pods open a connection for every request? From 28,000 towards one peer on, ports run out.',
          queries: [
            {
              expr: `topk(10, sum by (namespace, pod) (container_sockstat_timewait{${pods}}))`,
              legend: '{{namespace}}/{{pod}}',
            },
          ],
        },
        {
          title: 'TCP states as cAdvisor names them',
          question: 'The same from the collector tcp, for dashboards that were made for cAdvisor.',
          queries: [
            {
              expr: `sum by (tcp_state) (container_network_tcp_usage_total{${pods}} + container_network_tcp6_usage_total{${pods}})`,
              legend: '{{tcp_state}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Peers',
      panels: [
        {
          title: 'Top peers',
          question: 'With whom are most connections? Inbound ones have port 0.',
          kind: 'table',
          queries: [
            {
              expr: `topk(30, sum by (pod_namespace, pod_name, remote_addr, remote_port) (pod_connect_info{${of}, status="ESTABLISHED"}))`,
            },
          ],
          width: 12,
        },
        {
          title: 'Databases, caches, queues',
          question: 'Which of them does a pod use? By well-known ports; a connection in any state counts.',
          kind: 'table',
          queries: [
            {
              expr: `sum by (pod_namespace, pod_name, remote_addr, remote_port) (pod_connect_info{${of}, status!="LISTEN", remote_port=~"${known}"})`,
            },
          ],
          width: 12,
        },
        {
          title: 'Where CLOSE_WAIT sockets lead',
          question: 'Whose hanging up do the pods not notice?',
          kind: 'table',
          queries: [
            {
              expr: `topk(30, sum by (pod_namespace, pod_name, container, remote_addr, remote_port) (pod_connect_info{${of}, status="CLOSE_WAIT"}))`,
            },
          ],
          width: 12,
        },
        {
          title: 'Listening ports',
          question: 'Where do the pods listen?',
          kind: 'table',
          queries: [
            {
              expr: `sum by (pod_namespace, pod_name, container, remote_port) (pod_connect_info{${of}, status="LISTEN"})`,
            },
          ],
          width: 12,
        },
      ],
    },
    {
      title: 'UDP, and the reading itself',
      panels: [
        {
          title: 'UDP sockets',
          question: 'How many UDP sockets do pods hold?',
          queries: [
            {
              expr: `topk(10, sum by (namespace, pod) (container_sockstat_udp{${pods}}))`,
              legend: '{{namespace}}/{{pod}}',
            },
          ],
        },
        {
          title: 'UDP queues and drops',
          question: 'Do datagrams wait, or get lost because nobody reads them?',
          queries: [
            {
              expr: `sum by (udp_state) (container_network_udp_usage_total{${pods}, udp_state!="listen"} + container_network_udp6_usage_total{${pods}, udp_state!="listen"})`,
              legend: '{{udp_state}}',
            },
          ],
        },
        {
          title: 'Age of the socket table',
          question: 'How old is what is shown? With eBPF it is made for each scrape, from /proc it is rarer.',
          queries: [
            {
              expr: 'podsonar_socket_table_age_seconds{cluster=~"$cluster"}',
              legend: '{{instance}} {{source}}',
            },
          ],
          unit: 's',
        },
      ],
    },
  ],
}
