/** The command line of `podsonar capture`. */
import { parseArgs } from 'node:util'
import { describeError, errorCode, PodsonarError, SettingsError } from '../../common/errors.ts'
import { parseLabelSelector, type LabelSelector } from '../../common/label-selector.ts'
import {
  checkFilterText,
  checkNamespace,
  checkPodName,
  maxSnaplen,
  readInterface,
  type CaptureOptions,
} from './request.ts'

/** Whose packets: one pod's, those of pods with some labels, of all containers of this node, of a process of this node. */
export type CaptureSubject =
  | { readonly kind: 'pod'; readonly name: string; readonly allContainers: boolean }
  | { readonly kind: 'selector'; readonly selector: ParsedSelector }
  | { readonly kind: 'all' }
  | { readonly kind: 'pid'; readonly pid: number }

/** A label selector as it was given, and what it means. */
interface ParsedSelector {
  readonly text: string
  readonly parsed: LabelSelector
}

/** What the command line asks for. */
export interface CaptureCommand {
  readonly subject: CaptureSubject
  /** Undefined: that of the kubeconfig's context, or `default`. */
  readonly namespace: string | undefined
  readonly options: CaptureOptions
  readonly seconds: number | undefined
  /** Of each pod. */
  readonly bytes: number | undefined
  /** A file; `-` is stdout; undefined: decoded lines. */
  readonly output: string | undefined
  /** Undefined: here if this is a node, otherwise through the cluster. */
  readonly place: 'node' | 'cluster' | undefined
  /** An exporter to ask, instead of the one that the API server knows. */
  readonly exporter: URL | undefined
  readonly exporterNamespace: string
  readonly caFile: string | undefined
  readonly tokenFile: string | undefined
  readonly kubeconfig: string | undefined
}

/** The text of `podsonar capture --help`. */
export const captureHelp = `podsonar capture: shows the packets of a pod; nothing is installed or run in the pod.

Usage:
  podsonar capture [-n NAMESPACE] POD [filter...] [flags]
  podsonar capture [-n NAMESPACE] -l app=web [filter...]      several pods, into one pcapng
  podsonar capture --all-containers [filter...]               every pod and container of this node
  podsonar capture --pid PID [filter...]                      the network namespace of a process of this node

On a node (as root) it captures by itself; anywhere else the exporter of the pod's node does, with CAPTURE=true there.

  -n, --namespace NAME    default: the kubeconfig's, or "default"
  -l, --selector LABELS   pods by labels: app=web,tier!=cache
  --all-containers        with POD: every network that its containers are in, should they differ
  --pid PID
  filter...               a pcap filter, as "tcp port 80 and host 10.1.2.3"; after -- where a word begins with -
  --seconds N             end after that time; default: Ctrl-C, or what the exporter allows
  --bytes N               end when the pcap of a pod is that large; 10k, 10M and 10G are understood
  --snaplen N             keep so many bytes of each packet; default: ${maxSnaplen}
  --interface NAME        any (default): all in the pod, loopback too; eth0: the pod's; veth: the node's end of it
  -w, --write FILE        write a pcap (of several pods a pcapng); - is stdout; without it lines are printed
  --node, --cluster       capture here, or through the exporter; default: here where a container runtime answers to root
  --kubeconfig FILE       default: KUBECONFIG, ~/.kube/config
  --exporter URL          ask this exporter, as https://10.0.0.7:28880; default: a port-forward to the pod's node's
  --exporter-namespace N  where the exporters are; default: podsonar-exporter
  --ca-file FILE          what the exporter's certificate is verified with
  --token-file FILE       the exporter's token; default: CAPTURE_TOKEN_FILE, or the kubeconfig's token

  podsonar capture -n shop web-0 tcp port 8080 -w - | wireshark -k -i -
`

const flags = {
  namespace: { type: 'string', short: 'n' },
  selector: { type: 'string', short: 'l' },
  'all-containers': { type: 'boolean' },
  pid: { type: 'string' },
  seconds: { type: 'string' },
  bytes: { type: 'string' },
  snaplen: { type: 'string' },
  interface: { type: 'string' },
  write: { type: 'string', short: 'w' },
  node: { type: 'boolean' },
  cluster: { type: 'boolean' },
  kubeconfig: { type: 'string' },
  exporter: { type: 'string' },
  'exporter-namespace': { type: 'string' },
  'ca-file': { type: 'string' },
  'token-file': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

/**
 * Reads the words after `podsonar capture`.
 *
 * @returns undefined: help is asked for
 * @throws SettingsError with every problem found
 */
export function parseCaptureArguments(args: readonly string[]): CaptureCommand | undefined {
  const { values, positionals } = split(args)
  if (values.help === true) return undefined
  const problems: string[] = []
  /** What `read` gives; a problem when it throws, undefined when there is no text. */
  const optional = <T>(name: string, text: string | undefined, read: (text: string) => T): T | undefined => {
    if (text === undefined) return undefined
    try {
      return read(text)
    } catch (error) {
      problems.push(
        errorCode(error) === 'bad_parameter' ? describeError(error) : `${name}: ${describeError(error)}`,
      )
      return undefined
    }
  }
  const words = [...positionals]
  const subject = readSubject(values, words, problems, optional)
  const filter = optional('filter', words.join(' '), checkFilterText) ?? ''
  const place = readPlace(values)
  if (values.node === true && values.cluster === true)
    problems.push('--node, --cluster: expected one of them')
  const exporter = optional('--exporter', values.exporter, readUrl)
  const onNodeOnly = subject !== undefined && (subject.kind === 'all' || subject.kind === 'pid')
  if (onNodeOnly && (place === 'cluster' || exporter !== undefined))
    problems.push(
      '--all-containers and --pid: expected on the node itself, and so without --cluster and --exporter',
    )
  if (exporter !== undefined && subject?.kind === 'selector')
    problems.push('--exporter: expected with a POD, since it is the API server that knows pods by labels')
  const number = (name: 'seconds' | 'snaplen', min: number, max: number): number | undefined =>
    optional(`--${name}`, values[name], (text) => readWhole(text, min, max))
  const command: Omit<CaptureCommand, 'subject'> = {
    namespace: optional('--namespace', values.namespace, checkNamespace),
    options: {
      filter,
      snaplen: number('snaplen', 64, maxSnaplen) ?? maxSnaplen,
      interface: optional('--interface', values.interface, readInterface) ?? 'any',
    },
    seconds: number('seconds', 1, 31_536_000),
    bytes: optional('--bytes', values.bytes, readBytes),
    output: values.write,
    place: onNodeOnly ? 'node' : place,
    exporter,
    exporterNamespace:
      optional('--exporter-namespace', values['exporter-namespace'], checkNamespace) ?? 'podsonar-exporter',
    caFile: values['ca-file'],
    tokenFile: values['token-file'],
    kubeconfig: values.kubeconfig,
  }
  if (problems.length > 0 || subject === undefined) throw new SettingsError(problems)
  return { ...command, subject }
}

function readPlace({ node, cluster }: Values): CaptureCommand['place'] {
  if (node === true) return 'node'
  return cluster === true ? 'cluster' : undefined
}

type Values = ReturnType<typeof split>['values']

function split(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: true })
  } catch (error) {
    throw new SettingsError([`arguments: ${describeError(error)}; "podsonar capture --help" lists them`])
  }
}

/** Takes the POD out of `words`, where there is one; the rest is the filter. */
function readSubject(
  values: Values,
  words: string[],
  problems: string[],
  optional: <T>(name: string, text: string | undefined, read: (text: string) => T) => T | undefined,
): CaptureSubject | undefined {
  const { selector, pid } = values
  const allContainers = values['all-containers'] === true
  if (selector !== undefined && pid !== undefined) problems.push('-l, --pid: expected one of them')
  if (allContainers && (selector !== undefined || pid !== undefined))
    problems.push('--all-containers: expected with a POD, or alone')
  if (pid !== undefined) {
    const number = optional('--pid', pid, (text) => readWhole(text, 1, 2 ** 22))
    return number === undefined ? undefined : { kind: 'pid', pid: number }
  }
  if (selector !== undefined) {
    const parsed = optional('--selector', selector, readSelector)
    return parsed === undefined ? undefined : { kind: 'selector', selector: { text: selector, parsed } }
  }
  const [first] = words
  // A filter's first word may look like a pod's name: after --all-containers a POD has to be followed by nothing or by
  // a filter, so that what compiles as a name alone is one.
  if (allContainers && (first === undefined || isFilterWord(first))) return { kind: 'all' }
  words.shift()
  if (first === undefined) {
    problems.push('POD: expected the name of a pod, -l LABELS, --all-containers or --pid PID')
    return undefined
  }
  const name = optional('POD', first, checkPodName)
  return name === undefined ? undefined : { kind: 'pod', name, allContainers }
}

/** Words that a pcap filter begins with; see pcap-filter(7). */
function isFilterWord(word: string): boolean {
  return (
    /^(not|tcp|udp|icmp6?|sctp|ip6?|arp|rarp|ether|host|net|port|portrange|src|dst|inbound|outbound|ifindex|ifname)$/.test(
      word,
    ) ||
    /^(vlan|mpls|less|greater|proto|multicast|broadcast)$/.test(word) ||
    /[^a-z0-9.-]/.test(word)
  )
}

function readSelector(text: string): LabelSelector {
  const parsed = parseLabelSelector(text)
  if (parsed !== undefined) return parsed
  throw new PodsonarError(
    'bad_selector',
    `value was ${JSON.stringify(text)}, expected a label selector such as app=web,tier!=cache`,
  )
}

function readWhole(text: string, min: number, max: number): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  throw new PodsonarError(
    'bad_number',
    `value was ${JSON.stringify(text)}, expected a whole number from ${min} to ${max}`,
  )
}

function readBytes(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,12})([kMG]?)$/.exec(text) ?? []
  const factor = { '': 1, k: 1_000, M: 1_000_000, G: 1_000_000_000 }[unit] ?? Number.NaN
  const bytes = digits === '' ? Number.NaN : Number(digits) * factor
  if (bytes >= 24) return bytes
  throw new PodsonarError(
    'bad_number',
    `value was ${JSON.stringify(text)}, expected bytes, as 1000000 or 10M`,
  )
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== '') return url
  throw new PodsonarError(
    'bad_url',
    `value was ${JSON.stringify(text)}, expected a URL as https://10.0.0.7:28880`,
  )
}
