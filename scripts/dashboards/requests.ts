import type { Dashboard, Panel, Row } from './dashboard.ts'

const of = 'cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod", source="podsonar"'
const rate = (metric: string, more = ''): string => `rate(${metric}{${of}${more}}[$__rate_interval])`
const quantile = (share: string, metric: string, by: string): string =>
  `histogram_quantile(${share}, sum by (le${by}) (${rate(`${metric}_bucket`)}))`
const mean = (metric: string, by: string): string =>
  `topk(10, sum by (${by}) (${rate(`${metric}_sum`)}) / (sum by (${by}) (${rate(`${metric}_count`)}) > 0))`

/** Requests that failed by the server's fault, or had no answer: not what the client did wrong. */
const failed = ', http_response_status_code=~"5..|"'
const [server, client] = ['http_server_request_duration_seconds', 'http_client_request_duration_seconds']
const [called, calling] = ['rpc_server_call_duration_seconds', 'rpc_client_call_duration_seconds']
const byPod = { legend: '{{namespace}}/{{pod}}' }
const peer = '{{server_address}}:{{server_port}}'

function quantiles(title: string, question: string, metric: string): Panel {
  return {
    title,
    question,
    queries: ['0.5', '0.9', '0.99'].map((share) => ({
      expr: quantile(share, metric, ''),
      legend: `p${Number(share) * 100}`,
    })),
    unit: 's',
  }
}

function perSecond(title: string, question: string, expr: string, legend: string): Panel {
  return { title, question, queries: [{ expr, legend }], unit: 'reqps' }
}

const httpServed: Row = {
  title: 'HTTP requests served',
  panels: [
    perSecond(
      'Requests by pod',
      'Who serves most?',
      `topk(10, sum by (namespace, pod) (${rate(`${server}_count`)}))`,
      byPod.legend,
    ),
    perSecond(
      'Requests by status',
      'How do they end? Without a status there was no response.',
      `sum by (http_response_status_code) (${rate(`${server}_count`)})`,
      '{{http_response_status_code}}',
    ),
    {
      title: 'Share of failures',
      question: 'Which pods answer with 5xx, or not at all?',
      queries: [
        {
          expr: `topk(10, sum by (namespace, pod) (${rate(`${server}_count`, failed)}) / sum by (namespace, pod) (${rate(`${server}_count`)}))`,
          ...byPod,
        },
      ],
      unit: 'percentunit',
    },
    quantiles('Duration', "How long does a request take, as the pod's sockets see it?", server),
    {
      title: 'Slowest routes',
      question: 'Where does the time go? Nine of ten requests are faster.',
      queries: [
        {
          expr: `topk(10, ${quantile('0.9', server, ', namespace, pod, http_request_method, http_route')})`,
          legend: '{{namespace}}/{{pod}} {{http_request_method}} {{http_route}}',
        },
      ],
      unit: 's',
    },
    perSecond(
      'Busiest routes',
      'What is asked for most?',
      `topk(10, sum by (namespace, pod, http_request_method, http_route) (${rate(`${server}_count`)}))`,
      '{{namespace}}/{{pod}} {{http_request_method}} {{http_route}}',
    ),
    {
      title: 'Time to first byte',
      question: 'How long does the pod think before it answers (mean)?',
      queries: [{ expr: mean('http_server_time_to_first_byte_seconds', 'namespace, pod'), ...byPod }],
      unit: 's',
    },
    {
      title: 'Size of responses',
      question: 'Which pods send large bodies (mean)?',
      queries: [{ expr: mean('http_server_response_body_size_bytes', 'namespace, pod'), ...byPod }],
      unit: 'bytes',
    },
    {
      title: 'Size of requests',
      question: 'Which pods are sent large bodies (mean)?',
      queries: [{ expr: mean('http_server_request_body_size_bytes', 'namespace, pod'), ...byPod }],
      unit: 'bytes',
    },
  ],
}

const httpMade: Row = {
  title: 'HTTP requests made',
  panels: [
    perSecond(
      'Requests by peer',
      'Whom do the pods ask most?',
      `topk(10, sum by (namespace, pod, server_address, server_port) (${rate(`${client}_count`)}))`,
      `${byPod.legend} ${peer}`,
    ),
    {
      title: 'Share of failures by peer',
      question: 'Who lets our pods down?',
      queries: [
        {
          expr: `topk(10, sum by (server_address, server_port) (${rate(`${client}_count`, failed)}) / sum by (server_address, server_port) (${rate(`${client}_count`)}))`,
          legend: peer,
        },
      ],
      unit: 'percentunit',
    },
    {
      title: 'Slowest peers',
      question: 'Whom do our pods wait for? Nine of ten requests are faster.',
      queries: [
        { expr: `topk(10, ${quantile('0.9', client, ', server_address, server_port')})`, legend: peer },
      ],
      unit: 's',
    },
  ],
}

const grpc: Row = {
  title: 'gRPC',
  panels: [
    perSecond(
      'Calls served by method',
      'What is called most?',
      `topk(10, sum by (namespace, pod, rpc_method) (${rate(`${called}_count`)}))`,
      `${byPod.legend} {{rpc_method}}`,
    ),
    perSecond(
      'Calls served by status',
      'How do they end?',
      `sum by (rpc_response_status_code) (${rate(`${called}_count`)})`,
      '{{rpc_response_status_code}}',
    ),
    quantiles('Duration of calls served', 'How long does a call take?', called),
    {
      title: 'Slowest methods',
      question:
        'Where does the time go? Nine of ten calls are faster. Streams last as long as they are open.',
      queries: [
        {
          expr: `topk(10, ${quantile('0.9', called, ', namespace, pod, rpc_method')})`,
          legend: `${byPod.legend} {{rpc_method}}`,
        },
      ],
      unit: 's',
    },
    perSecond(
      'Calls made by peer',
      'Whom do the pods call most?',
      `topk(10, sum by (namespace, pod, server_address, server_port) (${rate(`${calling}_count`)}))`,
      `${byPod.legend} ${peer}`,
    ),
    {
      title: 'Slowest peers called',
      question: 'Whom do our pods wait for? Nine of ten calls are faster.',
      queries: [
        { expr: `topk(10, ${quantile('0.9', calling, ', server_address, server_port')})`, legend: peer },
      ],
      unit: 's',
    },
  ],
}

const watching: Row = {
  title: 'How well it is watched',
  panels: [
    {
      title: 'Connections followed',
      question: 'How much is watched on each node?',
      queries: [{ expr: 'podsonar_requests_connections{cluster=~"$cluster"}', legend: '{{instance}}' }],
    },
    {
      title: 'Counted for others, lost, not counted',
      question:
        'Is all of it seen? Sampled ones are counted by their successors; lost and uncounted ones are missing.',
      queries: ['sampled_out', 'lost_events', 'uncounted'].map((what) => ({
        expr: `sum(rate(podsonar_requests_${what}_total{cluster=~"$cluster"}[$__rate_interval]))`,
        legend: what.replace('_', ' '),
      })),
      unit: 'ops',
    },
    {
      title: 'Folded into ~other',
      question: 'Are there more series than OBSERVE_MAX_SERIES?',
      queries: [
        {
          expr: 'rate(podsonar_requests_folded_total{cluster=~"$cluster"}[$__rate_interval])',
          legend: '{{instance}}',
        },
      ],
      unit: 'reqps',
    },
  ],
}

export const requests: Dashboard = {
  uid: 'podsonar-requests',
  title: 'podsonar: HTTP and gRPC',
  description: 'Which requests chosen pods serve and make, how they end and how long they take.',
  variables: ['cluster', 'namespace', 'pod'],
  rows: [httpServed, httpMade, grpc, watching],
}
