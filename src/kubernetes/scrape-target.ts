/**
 * Whether a pod is a scrape target, and where: the rules that the registrar registers by and the proxy admits by. Pure.
 * The annotations are the ones that Prometheus users share: `prometheus.io/scrape`, `/port`, `/path`, `/scheme` and
 * `/param_<name>`.
 */
import type { PodRecord, PortRecord } from './records.ts'

/** Why an annotated pod is not a target; stable, also a metric label. */
export const skipReasons = [
  'finished',
  'no_ip',
  'no_port',
  'ambiguous_port',
  'invalid_port',
  'invalid_path',
  'invalid_scheme',
] as const
export type SkipReason = (typeof skipReasons)[number]

/** How to scrape a pod. */
export interface ScrapeTarget {
  readonly kind: 'target'
  readonly ip: string
  /** At least one, all different; the first is the main one. */
  readonly ports: readonly number[]
  /** Starts with a slash, without a query. */
  readonly path: string
  readonly scheme: 'http' | 'https'
  readonly params: Readonly<Record<string, string>>
  /** What was put right or left out on the way, a sentence each; mostly empty. */
  readonly notes: readonly string[]
}

export type ScrapeDecision =
  | ScrapeTarget
  /** Not annotated with `prometheus.io/scrape: "true"`. */
  | { readonly kind: 'unmarked' }
  /** Annotated, but not to be scraped; `detail` says what was found and what would do. */
  | { readonly kind: 'skipped'; readonly reason: SkipReason; readonly detail: string }

const prefix = 'prometheus.io/'
const paramPrefix = `${prefix}param_`
const metricsPortNames = ['metrics', 'http-metrics', 'prometheus']
const finishedPhases = new Set(['Succeeded', 'Failed'])
/** Consul keeps the path as a value of at most 512 bytes. */
const longestPath = 512

/** Decides on one pod. */
export function scrapeTarget(pod: PodRecord): ScrapeDecision {
  const { annotations, ip } = pod
  if (annotations[`${prefix}scrape`]?.trim() !== 'true') return { kind: 'unmarked' }
  if (finishedPhases.has(pod.phase)) return skipped('finished', `its phase is ${pod.phase}`)
  if (ip === undefined || ip === '') return skipped('no_ip', `it has no IP yet, its phase is ${pod.phase}`)

  const notes: string[] = []
  const ports = choosePorts(annotations[`${prefix}port`]?.trim() ?? '', pod.ports, notes)
  if (!Array.isArray(ports)) return ports

  const scheme = annotations[`${prefix}scheme`]?.trim().toLowerCase() || 'http'
  if (scheme !== 'http' && scheme !== 'https')
    return skipped('invalid_scheme', `${prefix}scheme is ${quote(scheme)}, expected http or https`)

  const { path, query } = splitPath(annotations[`${prefix}path`]?.trim() ?? '', notes)
  if (/[\s#]/.test(path) || Buffer.byteLength(path) > longestPath) {
    return skipped(
      'invalid_path',
      `${prefix}path is ${quote(path)}, expected a path such as /metrics, without spaces, of at most ${longestPath} bytes`,
    )
  }
  return { kind: 'target', ip, ports, path, scheme, params: { ...query, ...params(annotations) }, notes }
}

function skipped(reason: SkipReason, detail: string): Extract<ScrapeDecision, { kind: 'skipped' }> {
  return { kind: 'skipped', reason, detail }
}

function choosePorts(
  annotation: string,
  declared: readonly PortRecord[],
  notes: string[],
): number[] | Extract<ScrapeDecision, { kind: 'skipped' }> {
  if (annotation !== '') return annotatedPorts(annotation, notes)
  const tcp = declared.filter(({ protocol }) => protocol === 'TCP')
  for (const name of metricsPortNames) {
    const named = tcp.find((port) => port.name === name)
    if (named !== undefined) return [named.port]
  }
  const [only, ...others] = [...new Set(tcp.map(({ port }) => port))]
  const wanted = `expected ${prefix}port, a port named ${metricsPortNames.join(', ')}, or exactly one declared TCP port`
  if (only === undefined) return skipped('no_port', `it declares no TCP port, ${wanted}`)
  if (others.length > 0) {
    return skipped('ambiguous_port', `it declares the ports ${[only, ...others].join(', ')}, ${wanted}`)
  }
  return [only]
}

function annotatedPorts(
  annotation: string,
  notes: string[],
): number[] | Extract<ScrapeDecision, { kind: 'skipped' }> {
  // Nearly all: the rest of this is for one pod in thousands.
  if (isPort(annotation)) return [Number(annotation)]
  const given = annotation.split(',').map((text) => text.trim())
  const ports = [...new Set(given.filter(isPort).map(Number))]
  const bad = given.filter((text) => !isPort(text))
  const found = `${prefix}port is ${quote(annotation)}, expected ports from 1 to 65535, separated by commas`
  if (ports.length === 0) return skipped('invalid_port', found)
  if (bad.length > 0) notes.push(`${found}: ${bad.map(quote).join(', ')} left out`)
  return ports
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535
}

function splitPath(annotation: string, notes: string[]): { path: string; query: Record<string, string> } {
  if (annotation === '') return { path: '/metrics', query: {} }
  const [bare = '', queryText = ''] = annotation.split(/\?(.*)/s, 2)
  const query = Object.fromEntries(new URLSearchParams(queryText))
  if (bare === '') return { path: '/metrics', query }
  if (bare.startsWith('/')) return { path: bare, query }
  notes.push(
    `${prefix}path is ${quote(annotation)}, expected it to start with a slash: taken as ${quote(`/${bare}`)}`,
  )
  return { path: `/${bare}`, query }
}

function params(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const key in annotations) {
    const value = annotations[key]
    if (value !== undefined && key.startsWith(paramPrefix) && key.length > paramPrefix.length)
      found[key.slice(paramPrefix.length)] = value
  }
  return found
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}
