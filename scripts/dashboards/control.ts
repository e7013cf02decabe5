import type { Dashboard } from './dashboard.ts'

const of = 'cluster=~"$cluster"'

export const registrarAndProxy: Dashboard = {
  uid: 'podsonar-control',
  title: 'podsonar: registrar and proxy',
  description: 'Whether Consul is equal to the clusters, and how the proxies fare.',
  variables: ['cluster'],
  rows: [
    {
      title: 'Registrar',
      panels: [
        {
          title: 'Since the last full reconciliation',
          question: 'Is Consul kept equal to the cluster?',
          kind: 'stat',
          queries: [
            {
              expr: `time() - max by (cluster) (podsonar_registrar_last_success_timestamp_seconds{${of}})`,
              legend: '{{cluster}}',
            },
          ],
          unit: 's',
          width: 6,
        },
        {
          title: 'Leaders',
          question: 'Does exactly one replica write?',
          kind: 'stat',
          queries: [{ expr: `sum by (cluster) (podsonar_registrar_leader{${of}})`, legend: '{{cluster}}' }],
          width: 6,
        },
        {
          title: 'Removals held',
          question: 'Does the registrar doubt what the cluster says?',
          kind: 'stat',
          queries: [
            {
              expr: `max by (cluster, kind) (podsonar_registrar_held_removals{${of}})`,
              legend: '{{cluster}} {{kind}}',
            },
          ],
          width: 6,
        },
        {
          title: 'Refused by Consul',
          question: 'Is there a service that Consul will not take?',
          kind: 'stat',
          queries: [
            { expr: `max by (cluster) (podsonar_registrar_refused_services{${of}})`, legend: '{{cluster}}' },
          ],
          width: 6,
        },
        {
          title: 'Wanted and registered',
          question: 'Is all in Consul that should be?',
          queries: [
            {
              expr: `max by (cluster, kind) (podsonar_registrar_desired_services{${of}})`,
              legend: '{{cluster}} {{kind}} wanted',
            },
            {
              expr: `max by (cluster, kind) (podsonar_registrar_registered_services{${of}})`,
              legend: '{{cluster}} {{kind}} registered',
            },
          ],
        },
        {
          title: 'Writes to Consul',
          question: 'What changes, and does it work?',
          queries: [
            {
              expr: `sum by (operation, result) (rate(podsonar_registrar_operations_total{${of}}[$__rate_interval]))`,
              legend: '{{operation}} {{result}}',
            },
          ],
          unit: 'ops',
        },
        {
          title: 'From a change to Consul',
          question: 'How long until a change of the cluster can be found?',
          queries: ['0.5', '0.99'].map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (le) (rate(podsonar_registrar_change_latency_seconds_bucket{${of}}[$__rate_interval])))`,
            legend: `p${Number(quantile) * 100}`,
          })),
          unit: 's',
        },
        {
          title: 'Annotated and not registered',
          question: 'Who asks to be scraped and cannot be, and why? The registrar’s page names them.',
          kind: 'table',
          queries: [{ expr: `max by (cluster, reason) (podsonar_registrar_skipped_objects{${of}})` }],
          width: 12,
        },
        {
          title: 'Watches of the Kubernetes API',
          question: 'Do watches break all the time?',
          queries: [
            {
              expr: `sum by (resource) (rate(podsonar_kubernetes_watches_total{${of}}[$__rate_interval]))`,
              legend: '{{resource}} opened',
            },
            {
              expr: `sum by (resource) (rate(podsonar_kubernetes_watch_failures_total{${of}}[$__rate_interval]))`,
              legend: '{{resource}} failed',
            },
          ],
          unit: 'ops',
          width: 12,
        },
      ],
    },
    {
      title: 'Proxy',
      panels: [
        {
          title: 'Scrapes by result',
          question: 'Do scrapes through the proxy succeed?',
          queries: [
            {
              expr: `sum by (code) (rate(podsonar_proxy_requests_total{${of}}[$__rate_interval]))`,
              legend: '{{code}}',
            },
          ],
          unit: 'ops',
        },
        {
          title: 'Refusals',
          question: 'What is refused? docs/proxy.md says what each code means.',
          queries: [
            {
              expr: `sum by (code) (rate(podsonar_proxy_refusals_total{${of}}[$__rate_interval]))`,
              legend: '{{code}}',
            },
          ],
          unit: 'ops',
        },
        {
          title: 'Duration of a scrape',
          question: 'How long do kubelets take?',
          queries: ['0.5', '0.99'].map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (le) (rate(podsonar_proxy_request_duration_seconds_bucket{${of}}[$__rate_interval])))`,
            legend: `p${Number(quantile) * 100}`,
          })),
          unit: 's',
        },
        {
          title: 'Bytes passed on',
          question: 'How much do kubelets send?',
          queries: [
            {
              expr: `sum by (cluster) (rate(podsonar_proxy_response_bytes_total{${of}}[$__rate_interval]))`,
              legend: '{{cluster}}',
            },
          ],
          unit: 'Bps',
        },
        {
          title: 'In flight, and connections to kubelets',
          question: 'How near is the proxy to MAX_IN_FLIGHT?',
          queries: [
            {
              expr: `sum by (cluster) (podsonar_proxy_requests_in_flight{${of}})`,
              legend: '{{cluster}} in flight',
            },
            {
              expr: `sum by (state) (podsonar_proxy_upstream_connections{${of}})`,
              legend: 'connections {{state}}',
            },
          ],
        },
        {
          title: 'Slowest nodes',
          question: 'Whose kubelet takes longest?',
          queries: [
            {
              expr: `topk(5, sum by (node) (rate(podsonar_proxy_request_seconds_total{${of}}[$__rate_interval])) / sum by (node) (rate(podsonar_proxy_requests_total{${of}}[$__rate_interval])))`,
              legend: '{{node}}',
            },
          ],
          unit: 's',
        },
      ],
    },
    {
      title: 'Their own cost',
      panels: [
        {
          title: 'Memory',
          question: 'How much memory does each part of podsonar need?',
          queries: [
            {
              expr: `podsonar_process_resident_memory_bytes{${of}} * on (instance, job) group_left (mode) podsonar_build_info`,
              legend: '{{mode}} {{instance}}',
            },
          ],
          unit: 'bytes',
          width: 12,
        },
        {
          title: 'CPU',
          question: 'How much CPU?',
          queries: [
            {
              expr: `rate(podsonar_process_cpu_seconds_total{${of}}[$__rate_interval]) * on (instance, job) group_left (mode) podsonar_build_info`,
              legend: '{{mode}} {{instance}}',
            },
          ],
          unit: 'percentunit',
          width: 12,
        },
      ],
    },
  ],
}
