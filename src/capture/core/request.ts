/** What a capture is asked for, as the query of GET /api/v1/capture says it. */
import { PodsonarError } from '../../common/errors.ts'

/** Where packets are seen: on all interfaces of the pod, on the node's end of its cable, or on the pod's. */
export const captureInterfaces = ['any', 'veth', 'eth0'] as const
export type CaptureInterface = (typeof captureInterfaces)[number]

/** How packets are captured, whosever they are. */
export interface CaptureOptions {
  /** A pcap filter (pcap-filter(7)); empty: everything. */
  readonly filter: string
  /** The most bytes that are kept of a packet. */
  readonly snaplen: number
  readonly interface: CaptureInterface
}

/** A capture of one pod. */
export interface CaptureRequest extends CaptureOptions {
  readonly namespace: string
  readonly pod: string
  readonly seconds: number
  /** The most bytes of the whole pcap; it ends with the last packet that fits. */
  readonly bytes: number
}

/** What no capture may exceed. */
export interface CaptureLimits {
  readonly maxSeconds: number
  readonly maxBytes: number
}

/** tcpdump's own default and most. */
export const maxSnaplen = 262_144
/** A longer filter costs libpcap's optimiser more than a capture is worth. */
const maxFilterLength = 2_000
/** RFC 1123 labels, with dots between them for pods. */
const namespacePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const podPattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

const parameters = ['namespace', 'pod', 'filter', 'seconds', 'bytes', 'snaplen', 'interface'] as const

/**
 * Reads the query of a capture. What is not given is as much as the limits allow.
 *
 * @throws PodsonarError `bad_parameter` with a sentence that says what was given and what is accepted
 */
export function parseCaptureQuery(query: URLSearchParams, limits: CaptureLimits): CaptureRequest {
  for (const name of query.keys()) {
    if (!parameters.some((known) => known === name))
      throw badParameter(name, `there is no such parameter, expected some of ${parameters.join(', ')}`)
    if (query.getAll(name).length > 1) throw badParameter(name, 'it is given twice, expected once')
  }
  const { maxSeconds, maxBytes } = limits
  return {
    namespace: readName(query, 'namespace', namespacePattern),
    pod: readName(query, 'pod', podPattern),
    filter: checkFilterText(query.get('filter') ?? ''),
    seconds: readNumber(query, 'seconds', { min: 1, max: maxSeconds, fallback: maxSeconds }),
    bytes: readNumber(query, 'bytes', { min: 24, max: maxBytes, fallback: maxBytes }),
    snaplen: readNumber(query, 'snaplen', { min: 64, max: maxSnaplen, fallback: maxSnaplen }),
    interface: readInterface(query.get('interface') ?? 'any'),
  }
}

/** The query that {@link parseCaptureQuery} reads; what is left out is for the exporter to say. */
export function captureQuery(request: Partial<CaptureRequest>): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(request)) if (value !== '') given.set(name, String(value))
  return given.toString()
}

/** @throws PodsonarError `bad_parameter` for what no command line could carry, or what is too long */
export function checkFilterText(filter: string): string {
  if (/[\x00-\x1f\x7f]/.test(filter))
    throw badParameter('filter', 'it has control characters, expected a pcap filter in one line')
  if (filter.length > maxFilterLength)
    throw badParameter('filter', `it has ${filter.length} characters, expected at most ${maxFilterLength}`)
  return filter.trim()
}

/** @throws PodsonarError `bad_parameter` */
export function readInterface(value: string): CaptureInterface {
  const found = captureInterfaces.find((known) => known === value)
  if (found === undefined)
    throw badParameter(
      'interface',
      `value was ${shown(value)}, expected one of ${captureInterfaces.join(', ')}`,
    )
  return found
}

/** @throws PodsonarError `bad_parameter` */
export function checkNamespace(value: string): string {
  return checkName('namespace', value, namespacePattern)
}

/** @throws PodsonarError `bad_parameter` */
export function checkPodName(value: string): string {
  return checkName('pod', value, podPattern)
}

function readName(query: URLSearchParams, parameter: string, pattern: RegExp): string {
  return checkName(parameter, query.get(parameter) ?? '', pattern)
}

function checkName(parameter: string, value: string, pattern: RegExp): string {
  if (!pattern.test(value))
    throw badParameter(parameter, `value was ${shown(value)}, expected the name of a ${parameter}`)
  return value
}

function readNumber(
  query: URLSearchParams,
  parameter: string,
  { min, max, fallback }: { readonly min: number; readonly max: number; readonly fallback: number },
): number {
  const text = query.get(parameter)
  if (text === null) return fallback
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  throw badParameter(parameter, `value was ${shown(text)}, expected a whole number from ${min} to ${max}`)
}

function shown(value: string): string {
  return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value)
}

function badParameter(name: string, why: string): PodsonarError {
  return new PodsonarError('bad_parameter', `Cannot use the parameter ${shown(name)}: ${why}`)
}
