/** The command line of `podsonar monitor`. */
import { parseArgs } from 'node:util'
import { SettingsError } from '../../common/errors.ts'
import { parseLabelSelector, type LabelSelector } from '../../common/label-selector.ts'

/** What is looked at: TCP connections, the network stack, HTTP requests, gRPC calls. */
export const layers = ['socket', 'stack', 'http', 'grpc'] as const
export type Layer = (typeof layers)[number]

/** What the command line asks for. */
export interface MonitorCommand {
  readonly layers: ReadonlySet<Layer>
  readonly namespace: string
  /** By name, or the only pod of this node with these labels. */
  readonly pod: { readonly name: string } | { readonly selector: LabelSelector; readonly text: string }
  /** How this node calls itself; undefined: NODE_NAME, or the machine's name. */
  readonly nodeName: string | undefined
  /** `summary` is for terminals. */
  readonly output: 'summary' | 'lines' | 'json'
  readonly seconds: number | undefined
  /** Where spans go. */
  readonly otlpEndpoint: string | undefined
  /** Where totals go at the end and every few seconds; a Pushgateway. */
  readonly pushgateway: string | undefined
  /** Where /metrics is served meanwhile. */
  readonly listen: { readonly address: string; readonly port: number } | undefined
  /** What to tell about flags that mean something else here than elsewhere, or nothing. */
  readonly notes: readonly string[]
}

/** The text of `podsonar monitor --help`. */
export const monitorHelp = `podsonar monitor: what one pod of this node does on the network, live; nothing is changed in the pod.

Usage:
  podsonar monitor all --pod NAME [flags]                       everything below
  podsonar monitor kernel all|socket|stack --pod NAME [flags]   TCP connections; time in the network stack, drops
  podsonar monitor user all|http|grpc --pod NAME [flags]        HTTP requests; gRPC calls

Run it on the pod's node, as root. On a terminal it shows a summary that refreshes every second, elsewhere a line for each event.
Ctrl-C ends it and prints totals.

  --pod NAME
  --pod-label LABELS      instead of --pod: the one pod of this node with these labels, as app=web,tier!=cache
  --namespace NAME        default: "default"
  --events                a line for each event, also on a terminal
  --json                  a JSON object for each event, and one with the totals at the end
  --seconds N             end after that time
  --otlp-endpoint URL     spans of connections and requests go there by OTLP/HTTP, as http://jaeger-collector:4318
  --exporter-port PORT    serve /metrics on this port meanwhile (8765 is usual)
  --exporter-address IP   with it; default: 127.0.0.1
  --prometheus HOST:PORT  push the metrics to this Pushgateway (port 9091 unless told) every 15 s and at the end
  --nodename NAME         what this node is called; default: NODE_NAME, or the machine's name

Flags of other tools, understood:
  --jaeger-agent HOST     the same as --otlp-endpoint http://HOST:4318: Jaeger takes OTLP there
  --grpcpod NAME          the same as --pod
  --veth, --imagename, --grpcimagename, --sidecar-mode, --kubeconfig, --force-minikube, --with-sockops: say what replaces them

Sidecars are known by the names in SIDECAR_NAMES and the images in SIDECAR_IMAGES. RUNTIME, RUNTIME_ENDPOINT, PROC_PATH,
CGROUP_PATH and LIBBPF_PATH are as for the exporter. docs/monitor.md has the rest.
`

const flags = {
  pod: { type: 'string' },
  'pod-label': { type: 'string' },
  namespace: { type: 'string', short: 'n' },
  events: { type: 'boolean' },
  json: { type: 'boolean' },
  seconds: { type: 'string' },
  'otlp-endpoint': { type: 'string' },
  'exporter-port': { type: 'string' },
  'exporter-address': { type: 'string' },
  prometheus: { type: 'string' },
  nodename: { type: 'string' },
  'jaeger-agent': { type: 'string' },
  grpcpod: { type: 'string' },
  grpcimagename: { type: 'string' },
  imagename: { type: 'string' },
  veth: { type: 'string' },
  kubeconfig: { type: 'string' },
  'sidecar-mode': { type: 'boolean' },
  'force-minikube': { type: 'boolean' },
  'with-sockops': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

type Given = ReturnType<typeof split>['values']

/** What replaces a flag that does nothing here. */
const replacements = {
  veth: "the pod's own interfaces are always looked at, from within its network",
  imagename: 'all containers of the pod are looked at',
  grpcimagename: 'all containers of the pod are looked at',
  kubeconfig: "pods are found through this node's container runtime, the API server is not asked",
  'sidecar-mode': 'sidecars are found by themselves: SIDECAR_NAMES, SIDECAR_IMAGES',
  'force-minikube': "what PROC_PATH shows is the node; set it where the node's /proc is mounted elsewhere",
  'with-sockops': "connections are never redirected here: a monitor changes nothing in the pod's data path",
} as const satisfies Partial<Record<keyof typeof flags, string>>

const scopes: Readonly<Record<string, readonly Layer[]>> = {
  all: layers,
  'kernel all': ['socket', 'stack'],
  'kernel socket': ['socket'],
  'kernel stack': ['stack'],
  'user all': ['http', 'grpc'],
  'user http': ['http'],
  'user grpc': ['grpc'],
}
const [jaegerOtlpPort, pushgatewayPort] = [4_318, 9_091]

/**
 * Reads the words after `podsonar monitor`.
 *
 * @param isTerminal whether somebody watches stdout
 * @returns undefined: help is asked for
 * @throws SettingsError with every problem found
 */
export function parseMonitorArguments(
  args: readonly string[],
  isTerminal: boolean,
): MonitorCommand | undefined {
  const { values, positionals } = split(args)
  if (values.help === true) return undefined
  const problems: string[] = []
  const notes: string[] = []
  const scope = scopes[positionals.join(' ')]
  if (scope === undefined)
    problems.push(
      `expected one of ${Object.keys(scopes).join(', ')}, got ${JSON.stringify(positionals.join(' '))}`,
    )
  const pod = readPod(values, problems, notes)
  const otlpEndpoint = readOtlp(values, problems, notes)
  for (const [flag, why] of Object.entries(replacements))
    if (values[flag as keyof typeof replacements] !== undefined)
      notes.push(`--${flag} does nothing here: ${why}`)
  if (values.events === true && values.json === true) problems.push('--events, --json: expected one of them')
  const port =
    values['exporter-port'] === undefined ? undefined : number(values, 'exporter-port', 65_535, problems)
  const seconds = values.seconds === undefined ? undefined : number(values, 'seconds', 31_536_000, problems)
  const command = {
    layers: new Set(scope),
    namespace: values.namespace ?? 'default',
    nodeName: values.nodename,
    output: values.json === true ? 'json' : values.events === true || !isTerminal ? 'lines' : 'summary',
    ...{ seconds, otlpEndpoint, notes },
    pushgateway: values.prometheus === undefined ? undefined : readPushgateway(values.prometheus, problems),
    listen: port === undefined ? undefined : { address: values['exporter-address'] ?? '127.0.0.1', port },
  } as const
  if (problems.length > 0 || pod === undefined) throw new SettingsError(problems)
  return { ...command, pod }
}

function split(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: true })
  } catch (error) {
    throw new SettingsError([error instanceof Error ? error.message : String(error)])
  }
}

function readPod(values: Given, problems: string[], notes: string[]): MonitorCommand['pod'] | undefined {
  const { grpcpod, 'pod-label': text } = values
  if (grpcpod !== undefined)
    notes.push(
      values.pod === undefined
        ? '--grpcpod is taken as --pod: one pod is looked at, its gRPC calls included'
        : '--grpcpod does nothing beside --pod: one pod is looked at, start a second monitor for the other',
    )
  const name = values.pod ?? grpcpod
  if ((name === undefined) === (text === undefined)) {
    problems.push('--pod, --pod-label: expected one of them')
    return undefined
  }
  if (name !== undefined) return { name }
  const selector = parseLabelSelector(text ?? '')
  if (selector !== undefined) return { selector, text: text ?? '' }
  problems.push(`--pod-label: value was ${JSON.stringify(text)}, expected labels such as app=web,tier!=cache`)
  return undefined
}

function readOtlp(values: Given, problems: string[], notes: string[]): string | undefined {
  const { 'otlp-endpoint': endpoint, 'jaeger-agent': agent } = values
  if (endpoint !== undefined) {
    if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? ''))
      problems.push(`--otlp-endpoint: value was ${JSON.stringify(endpoint)}, expected http://HOST:4318`)
    if (agent !== undefined) notes.push('--jaeger-agent does nothing beside --otlp-endpoint')
    return endpoint
  }
  if (agent === undefined) return undefined
  const host = URL.parse(`http://${agent}`)?.hostname
  if (host === undefined || host === '') {
    problems.push(`--jaeger-agent: value was ${JSON.stringify(agent)}, expected HOST or HOST:PORT`)
    return undefined
  }
  const instead = `http://${host}:${jaegerOtlpPort}`
  notes.push(
    `--jaeger-agent ${agent}: spans go to ${instead}, where Jaeger takes OTLP; its agent's protocol is no more`,
  )
  return instead
}

function readPushgateway(text: string, problems: string[]): string | undefined {
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `http://${text}`)
  if (url === null || url.hostname === '') {
    problems.push(`--prometheus: value was ${JSON.stringify(text)}, expected HOST:PORT of a Pushgateway`)
    return undefined
  }
  if (url.port === '' && !/^https?:\/\//.test(text)) url.port = String(pushgatewayPort)
  return url.origin
}

function number(
  values: Given,
  name: 'seconds' | 'exporter-port',
  max: number,
  problems: string[],
): number | undefined {
  const text = values[name] ?? ''
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= 1 && value <= max) return value
  problems.push(`--${name}: value was ${JSON.stringify(text)}, expected a whole number from 1 to ${max}`)
  return undefined
}
