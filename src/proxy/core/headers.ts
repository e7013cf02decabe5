import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'

/** What a scrape may tell the target: what it understands, and who it is. No cookie, no credential, no hop header. */
const requestHeaders = ['accept', 'accept-encoding', 'user-agent'] as const

/** What a target may tell the scrape: what the body is. */
const responseHeaders = ['content-type', 'content-encoding', 'content-length'] as const

/** The headers of a client's request that go on to the target. */
export function forwardedRequestHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return pick(headers, requestHeaders)
}

/** The headers of a target's answer that go back to the client. */
export function forwardedResponseHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return pick(headers, responseHeaders)
}

function pick(headers: IncomingHttpHeaders, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {}
  for (const name of names) {
    const value = headers[name]
    if (typeof value === 'string') picked[name] = value
  }
  return picked
}
