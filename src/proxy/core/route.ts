import { canonicalIp, isV4Mapped } from '../../common/ip.ts'
import { Refusal } from './refusal.ts'

/** What a request path asks for. Says nothing yet about whether that exists or is allowed. */
export type Route =
  | {
      readonly kind: 'node'
      /** Canonical. */
      readonly address: string
      readonly port: number
      readonly path: string
    }
  | {
      readonly kind: 'pod'
      readonly namespace: string
      readonly pod: string
      readonly port: number
      readonly path: string
    }

const nodePrefix = '/api/v1/nodes/'
const podPrefix = '/api/v1/namespaces/'

/**
 * Reads a request target, `/api/v1/nodes/<ip>:<port>/<path>` or `/api/v1/namespaces/<ns>/pods/<pod>:<port>/<path>`.
 *
 * A query is looked at and left out: what a target is asked for is not the client's choice.
 *
 * The text is taken as it came: nothing is decoded but brackets and colons (Go's URL writer encodes the brackets of an
 * IPv6 address), so that no two readers can disagree on what it means.
 *
 * @param target the request line's target, as Node gives it in `request.url`
 * @throws Refusal bad_path, bad_address or not_found
 */
export function parseRoute(target: string): Route {
  const [rawPath = '', ...queries] = target.split('?')
  const query = queries.length === 0 ? '' : `?${queries.join('?')}`
  const path = rawPath.replace(/%5b/gi, '[').replace(/%5d/gi, ']').replace(/%3a/gi, ':')
  if (!path.startsWith('/') || path.startsWith('//'))
    throw new Refusal('bad_path', 'The request target is not a path, expected /api/v1/nodes/<ip>:<port>/…')
  if (!/^[\w\-.~:/[\]]*$/.test(path))
    throw new Refusal(
      'bad_path',
      'The path has characters that no scrape path needs, expected letters, digits, - . _ ~ : / and [ ]',
    )
  if (!/^(\?[\w\-.~!$&'()*+,;=:@/?%[\]]*)?$/.test(query))
    throw new Refusal('bad_path', 'The query has characters that a URL cannot have')
  if (path.split('/').some((segment) => segment === '.' || segment === '..'))
    throw new Refusal('bad_path', 'The path has a . or .. segment, expected a plain path')

  if (path.startsWith(nodePrefix)) return nodeRoute(path.slice(nodePrefix.length))
  if (path.startsWith(podPrefix)) return podRoute(path.slice(podPrefix.length))
  throw new Refusal(
    'not_found',
    `There is nothing at this path, expected ${nodePrefix}<ip>:<port>/metrics/cadvisor`,
  )
}

function nodeRoute(rest: string): Route {
  const [authority, path] = splitAt(rest, rest.indexOf('/'))
  const [, host = '', portText = ''] = /^(.*):([^:\]]*)$/.exec(authority) ?? []
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const address = canonicalIp(bare)
  const isBracketed = bare !== host
  if (address === undefined || isV4Mapped(address) || isBracketed !== address.includes(':'))
    throw new Refusal(
      'bad_address',
      'The node is not named by its address, expected <IPv4>:<port> or [<IPv6>]:<port>',
    )
  return { kind: 'node', address, port: parsePort(portText), path }
}

function podRoute(rest: string): Route {
  const found = /^([a-z0-9-]+)\/pods\/([a-z0-9.-]+):([^/]*)(\/.*)$/.exec(rest)
  if (found === null)
    throw new Refusal(
      'not_found',
      `There is nothing at this path, expected ${podPrefix}<namespace>/pods/<pod>:<port>/<path>`,
    )
  const [, namespace = '', pod = '', portText = '', path = ''] = found
  return { kind: 'pod', namespace, pod, port: parsePort(portText), path }
}

function parsePort(text: string): number {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new Refusal('bad_address', 'The port is not one from 1 to 65535')
  return port
}

/** What stands before and from `index`; all and nothing when it is negative. */
function splitAt(text: string, index: number): [string, string] {
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index)]
}
