import type { Dashboard } from './dashboard.ts'

const of = 'cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"'
const ofNode = 'cluster=~"$cluster", node=~"$node"'
const byPod = { legend: '{{namespace}}/{{pod}}' }
const byNode = { legend: '{{node}}' }
const cadvisor = 'job="kubernetes-nodes-cadvisor"'

/** The whole node, as its cAdvisor counts it. */
const node = (metric: string, more = ''): string => `${metric}{${cadvisor}, ${ofNode}, id="/"${more}}`
/**
 * The pods that do most of what a counter counts, by the series that `more` chooses. The kubelet's cAdvisor and the exporter's own
 * collectors use the same names: where both are scraped, `max` takes each figure once.
 */
const topRate = (metric: string, more: string, ...by: string[]): string =>
  `topk(10, sum by (namespace, pod) (max by (namespace, pod, ${by.join(', ')}) (rate(${metric}{${of}, ${more}}[$__rate_interval]))))`

/** Containers of pods: neither the pods' own groups nor their sandboxes. */
const containers = 'container!="", container!="POD"'
/** A pod's containers have its network in common. */
const network = 'pod!="", interface!="lo"'

export const containersAndNodes: Dashboard = {
  uid: 'podsonar-containers',
  title: 'podsonar: containers and nodes',
  description: 'CPU, memory, disk and traffic of nodes and pods, from every kubelet through the proxy.',
  variables: ['cluster', 'node', 'namespace', 'pod'],
  rows: [
    {
      title: 'Nodes',
      panels: [
        {
          title: 'CPU load',
          question: 'How many of its cores does a node use?',
          queries: [
            {
              expr: `sum by (node) (rate(${node('container_cpu_usage_seconds_total')}[$__rate_interval])) / sum by (node) (machine_cpu_cores{${ofNode}})`,
              ...byNode,
            },
          ],
          unit: 'percentunit',
          width: 6,
        },
        {
          title: 'Memory in use',
          question: 'How much of its memory does a node need (working set)?',
          queries: [{ expr: `sum by (node) (${node('container_memory_working_set_bytes')})`, ...byNode }],
          unit: 'bytes',
          width: 6,
        },
        {
          title: 'Free memory',
          question: 'How much could still be given out?',
          queries: [
            {
              expr: `sum by (node) (machine_memory_bytes{${ofNode}}) - sum by (node) (${node('container_memory_working_set_bytes')})`,
              ...byNode,
            },
          ],
          unit: 'bytes',
          width: 6,
        },
        {
          title: 'Free disk',
          question: 'How much room is left on each disk?',
          queries: [
            {
              expr: `min by (node, device) (${node('container_fs_limit_bytes', ', device=~"/dev/.*"')} - ${node('container_fs_usage_bytes', ', device=~"/dev/.*"')})`,
              legend: '{{node}} {{device}}',
            },
          ],
          unit: 'bytes',
          width: 6,
        },
      ],
    },
    {
      title: 'Pods',
      panels: [
        {
          title: 'CPU',
          question: 'Which pods use most CPU?',
          queries: [
            { expr: topRate('container_cpu_usage_seconds_total', containers, 'container'), ...byPod },
          ],
          width: 12,
        },
        {
          title: 'Memory',
          question: 'Which pods use most memory (working set)?',
          queries: [
            {
              expr: `topk(10, sum by (namespace, pod) (max by (namespace, pod, container) (container_memory_working_set_bytes{${of}, ${containers}})))`,
              ...byPod,
            },
          ],
          unit: 'bytes',
          width: 12,
        },
        {
          title: 'Received',
          question: 'Which pods receive most?',
          queries: [
            { expr: topRate('container_network_receive_bytes_total', network, 'interface'), ...byPod },
          ],
          unit: 'Bps',
          width: 12,
        },
        {
          title: 'Sent',
          question: 'Which pods send most?',
          queries: [
            { expr: topRate('container_network_transmit_bytes_total', network, 'interface'), ...byPod },
          ],
          unit: 'Bps',
          width: 12,
        },
        {
          title: 'Read from disk',
          question: 'Which pods read most?',
          queries: [
            { expr: topRate('container_fs_reads_bytes_total', containers, 'container', 'device'), ...byPod },
          ],
          unit: 'Bps',
          width: 12,
        },
        {
          title: 'Written to disk',
          question: 'Which pods write most?',
          queries: [
            { expr: topRate('container_fs_writes_bytes_total', containers, 'container', 'device'), ...byPod },
          ],
          unit: 'Bps',
          width: 12,
        },
      ],
    },
    {
      title: 'File systems as containers see them',
      panels: [
        {
          title: 'Fullest file systems',
          question: 'Which mount runs full first?',
          kind: 'bargauge',
          queries: [
            {
              expr: `topk(10, 1 - max by (namespace, pod, mountpoint) (container_filesystem_avail_bytes{${of}} / (container_filesystem_size_bytes{${of}} > 0)))`,
              legend: '{{namespace}}/{{pod}} {{mountpoint}}',
            },
          ],
          unit: 'percentunit',
          width: 12,
        },
        {
          title: 'Writable layers',
          question: 'Which containers write into their image instead of a volume?',
          kind: 'bargauge',
          queries: [
            {
              expr: `topk(10, max by (namespace, pod, container) (container_writable_layer_bytes{${of}}))`,
              legend: '{{namespace}}/{{pod}} {{container}}',
            },
          ],
          unit: 'bytes',
          width: 12,
        },
      ],
    },
  ],
}
