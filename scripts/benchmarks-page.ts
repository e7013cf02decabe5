/** docs/benchmarks.md, from bench/results: a file for each benchmark, what `npm run -s bench -- NAME --json` printed. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { formatNumber, type BenchReport } from '../bench/result.ts'

/** A report, perhaps with what a reader must know of it. */
type Result = BenchReport & { readonly note?: string }

interface Benchmark {
  readonly name: string
  readonly question: string
  /** What we want of a figure, where we want something, and what the figure is. */
  readonly figures: Readonly<Record<string, readonly [meaning: string, aim: string]>>
}

const benchmarks: readonly Benchmark[] = [
  {
    name: 'registrar',
    question:
      'How long does a first fill of Consul take, beside bare transactions with the same services and beside one agent call after the other; what do 50,000 pods cost; how soon is a change in Consul?',
    figures: {
      coldStartVsRawTxn: [
        'time from process start to a full catalog, to that of the bare transactions',
        '≤ 1.8',
      ],
      agentVsCatalog: ['how many times as many services a second as by the agent', '≥ 10'],
      changeP99Ms: ['a change is in Consul, 99th percentile, while 100 pods a second change', '≤ 250'],
      peakRssMiB50k: ['most memory with 50,000 pods, MiB', '≤ 320'],
      eventLoopMaxMs50k: ['longest time in which nothing else ran, ms', '≤ 50'],
      ownTurnMaxMs50k: ['the processor time of it that was ours, ms', ''],
    },
  },
  {
    name: 'proxy',
    question:
      'What does a scrape through the proxy cost, beside nginx, haproxy and a naive use of http-proxy, before the same TLS kubelet with the page of a full node?',
    figures: {
      cpuVsNginx: ['processor time, to that of nginx', '≤ 1.5'],
      cpuVsHaproxy: ['to that of haproxy', ''],
      cpuVsNaive: ['to that of the naive use', ''],
      rssMiB200InFlight: ['memory with 200 scrapes in flight, MiB', '≤ 280'],
      core1000NodesHa: ['share of a core for 1,000 nodes that two Prometheus scrape every 30 s', '≤ 0.20'],
    },
  },
  {
    name: 'proxy-soak',
    question:
      'Does it keep its memory and sockets over 100,000 scrapes that fail in every way, with the API server away for ten minutes?',
    figures: { soakRssGrowth: ['memory at the end, to that at half', ''] },
  },
  {
    name: 'exporter',
    question:
      'What does a scrape of a node with 300 containers and 60,000 sockets cost, by collector, beside other ways to the same figures?',
    figures: {
      cpuMsPerScrape: ['processor time without the socket table, ms', '≤ 60'],
      wallMsPerScrape: ['time without the socket table, ms', '≤ 80'],
      rssMiB: ['memory with all defaults, MiB', '≤ 160'],
      idleCorePercent15s: ['share of a core when scraped every 15 s, percent', '≤ 1'],
    },
  },
  {
    name: 'exporter-soak',
    question:
      'Does it keep its memory while about a container a second is replaced, and does /healthz answer meanwhile?',
    figures: {
      rssMiBAfterChurn: ['memory after 1,000 scrapes, MiB', '≤ 160'],
      rssGrowthOverLastHalf: ['memory at the end, to that at half', ''],
      eventLoopMaxMs: ['longest time in which nothing else ran, ms', '≤ 50'],
      eventLoopUnqueuedMaxMs: ['longest such time without waiting for a processor, ms', '≤ 50'],
      ownTurnMaxMs: ['the most processor time of its own in one turn, ms', ''],
      healthzMaxMs: ['longest wait for /healthz of a client on the same two processors, ms', ''],
      healthzMaxMs200k: ['the same with 200,000 sockets in one pod, ms', ''],
    },
  },
  {
    name: 'sockets',
    question:
      'What does reading all sockets of a node cost: our eBPF pass, /proc, ss, sock_diag, on the same sockets?',
    figures: {
      procfsVsEbpfCpu: ['processor time of /proc, to ours', '≥ 150'],
      ssVsEbpfWall: ['time of ss, to ours', ''],
      sockDiagVsEbpfWall: ['time of sock_diag, to ours', ''],
      ns1000Vs300: ['1,000 network namespaces, to 300, at as many sockets', '≤ 1.2'],
      stormThroughputLoss: ['what tcp_health takes from a storm of connections', '≤ 0.05'],
    },
  },
  {
    name: 'requests',
    question:
      'What does watching requests cost the server that is watched, and is each request counted? nginx in short windows of one load, each against the two around it in which nothing is watched; of all, the half counts in which others computed least. etcd for gRPC, with and without, in turn.',
    figures: {
      throughputLoss: ['of a saturated nginx', '≤ 0.10'],
      throughputLossOfNothing: ['chance: not watched against not watched', ''],
      cpuUsPerRequest: ['processor time for each request, µs', '≤ 1'],
      cpuUsPerUnchosenRequest: ['for each request of pods that are not chosen, µs', '≤ 0.3'],
      cpuUsOfNothing: ['chance: not watched against not watched, µs', ''],
      grpcThroughputLoss: ['of a saturated etcd', ''],
      countedVsServed: ["counted, to those in nginx's log", '1'],
      grpcCountedVsServed: ['counted, to those that were sent', '1'],
      accurateVsServed: ['the same at a moderate rate', '1'],
    },
  },
  {
    name: 'stack',
    question:
      'What does timing packets cost: throughput of iperf3 over loopback and from pod to pod, and processor time of small packets; not watched, watched, and while another pod is? Sender and receiver share a processor. One stream, in 200 ms windows that take turns: each of 24 is set against the two around it that are not watched; as one of these is against those around it: that is chance.',
    figures: {
      throughputLoss: ['the larger of the two that follow', '≤ 0.10'],
      throughputLossLoopback: ['of a watched stream over loopback', ''],
      throughputLossVeth: ['of a watched stream from pod to pod', ''],
      throughputLossOthers: ['the larger of the two that follow', '≤ 0.05'],
      throughputLossOthersLoopback: ['over loopback, while another pod is watched', ''],
      throughputLossOthersVeth: ['from pod to pod, while another pod is watched', ''],
      throughputLossOfNothing: ['chance: the larger of not watched against not watched', ''],
      throughputLossApart: ['of a watched stream, a processor each for sender and receiver', ''],
      throughputLossOthersApart: ['the same, while another pod is watched', ''],
      throughputLossOfNothingApart: ['the same, chance', ''],
      nsPerPacket: ['processor time for each packet that is watched, ns', ''],
      nsPerPacketOfOthers: ['for each packet while another pod is watched, ns', ''],
      nsPerPacketOfNothing: ['for each packet, chance, ns', ''],
    },
  },
  {
    name: 'pages',
    question:
      'How long do the pages for people take with 20,000 targets, and for how long does nothing else run meanwhile? The exporter has 300 real pods, and collects everything for each page.',
    figures: {
      pageMaxMs: ['the slowest of the pages, median of 20, ms', '≤ 50'],
      eventLoopMaxMs: ['longest time in which nothing else ran, ms', '≤ 50'],
      ownTurnMaxMs: ['the processor time of it that was ours, ms', '≤ 50'],
    },
  },
  {
    name: 'cadvisor',
    question:
      "What does the exporter cost beside Debian's cAdvisor 0.38.7 and node-exporter 1.5.0, on the same pods and sockets, each scraped every 10 s and each told to collect this and nothing else? cAdvisor looks at containers by itself at the same interval.",
    figures: {
      statesCpuVsCadvisor: [
        'traffic, TCP and UDP states by eBPF: processor time, to that of cAdvisor',
        '≤ 1',
      ],
      statesCpuVsCadvisorProcfs: ['the same from /proc', ''],
      usageCpuVsCadvisor: ['CPU, memory and disk I/O: to that of cAdvisor', ''],
    },
  },
  {
    name: 'monitor',
    question:
      'What does the summary of `podsonar monitor all` cost while it refreshes each second, at 80 and at 200 columns? All of the program counts.',
    figures: {
      summaryCorePercent: ['of a core, at 100 connections and requests a second; the larger of both', '< 5'],
    },
  },
  {
    name: 'capture',
    question: 'What does a capture cost beside tcpdump alone, at 1 Gbit/s into a pod?',
    figures: {
      cpuVsTcpdump: ['into a file on the node, to tcpdump', '≤ 1.1'],
      cpuVsTcpdumpRelayed: ['relayed over HTTP, to tcpdump', '≤ 3'],
    },
  },
  {
    name: 'start',
    question: 'How long does each mode take until it is ready, and its memory then, beside a bare Node.js?',
    figures: {},
  },
]

const results = new URL('../bench/results/', import.meta.url)

function read(name: string): Result | undefined {
  const file = new URL(`${name}.json`, results)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result) : undefined
}

/** Those above, and any other that has a result. */
function all(): readonly Benchmark[] {
  const known = benchmarks.map(({ name }) => name)
  const others = readdirSync(results)
    .map((file) => file.replace(/\.json$/, ''))
    .filter((name) => !known.includes(name))
  return [...benchmarks, ...others.sort().map((name) => ({ name, question: '', figures: {} }))]
}

/** JSON has no NaN: what could not be measured is null there. */
const shown = (value: number | null): string => (value === null ? 'not measured' : formatNumber(value))

const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

function section({ name, question, figures }: Benchmark): string {
  const result = read(name)
  const head = `## ${name}\n\n${question}\n\n`
  if (result === undefined) return `${head}Not measured yet: \`npm run bench -- ${name}\`.\n`
  const { date, machine, node, note, rows, ratios } = result
  const when = `${date.slice(0, 10)}, ${machine}, Node.js ${node}.${note === undefined ? '' : ` ${note}`}`
  const judged = Object.entries(ratios).map(([figure, value]) => {
    const [meaning = '', aim = ''] = figures[figure] ?? []
    return [`\`${figure}\``, meaning, shown(value), aim]
  })
  const measured = rows.map(({ what, subject, value, unit }) => [what, subject, shown(value), unit])
  const parts = [
    judged.length > 0 ? table(['figure', 'meaning', 'value', 'aim'], judged) : '',
    measured.length > 0 ? table(['what', 'of whom', 'value', 'unit'], measured) : '',
  ]
  return `${head}${when}\n\n${parts.filter(Boolean).join('\n\n')}\n`
}

export function benchmarksMarkdown(): string {
  return `# Benchmarks

<!-- Written by \`npm run docs\` from bench/results and scripts/benchmarks-page.ts: change it there. -->

Each benchmark runs the program as it is shipped beside its alternatives, on the same machine, in the same run and in turn, and prints
ratios as well as figures: ratios outlive the machine. \`npm run bench -- NAME\` shows a table; \`npm run -s bench -- NAME --json >
bench/results/NAME.json && npm run docs\` puts a run onto this page. An aim is what we want to reach; a figure beyond it is not
there yet. One run is one run: on a shared machine figures differ by a fifth, and processor time is to be trusted more than time.

${all().map(section).join('\n')}
## To compare with others

Measured here, side by side: cAdvisor and node-exporter as Debian has them (above, under _cadvisor_), nginx, haproxy, \`ss\` and tcpdump.
**Not measured**: coroot, Retina and OBI need a whole cluster, or an image that we cannot pull on the machine that these figures are from.
What the table says of these three is from their documentation and source, not from a run. Below is how to compare so that neither side is
done wrong; what they do, and we do not, is worth more than a few milliseconds.

| tool | what it shows | where it is ahead of podsonar | compare |
| --- | --- | --- | --- |
| cAdvisor (in the kubelet, or by itself) | CPU, memory, disk, network of containers; TCP states where they are switched on | it is there already, and knows far more of CPU, memory and disk | \`npm run bench -- cadvisor\`; or by itself with \`--enable_metrics=tcp,udp,advtcp\`, against \`COLLECTORS=tcp,udp,advtcp\` with \`CONNECTIONS_SOURCE=procfs\` and \`ebpf\`; the same pods and sockets; processor time of the process for each scrape, at the same interval. It collects in the background: take processor time over an hour, not the answer's time |
| coroot (node agent) | connections between containers, L7 protocols (SQL, Redis, Kafka …), TLS by uprobes, logs, profiles | protocols beside HTTP and gRPC; a service map over all nodes, with the addresses behind a ClusterIP; logs | processor time and memory of both with the same load for an hour; events that each says it lost; series of each (\`scrape_samples_scraped\`) |
| Retina | drops with their reasons, flags, DNS, latency between nodes, captures as a Kubernetes object | DNS; Windows; captures of many nodes at once | its \`basic\` metrics against \`connections,tcp,tcp_health\`; throughput of a saturated connection with each and with neither |
| OBI (OpenTelemetry eBPF instrumentation, once Beyla) | HTTP, gRPC, SQL, Redis, Kafka by language and by kernel; traces that go on from service to service | TLS, languages, distributed traces without a traceparent of the application | the same names: \`http_server_request_duration_seconds\`. \`npm run bench -- requests\` shows the method: throughput and processor time for each request of a saturated server, in turn, and the counts beside the server's own access log |

Whoever compares: switch on what is compared and nothing else, on both sides; the same pods, sockets and load, in turn, several times; count what
each left out (sampled, dropped, capped) as a loss; and publish the settings.
`
}
