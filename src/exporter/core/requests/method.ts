/** The request methods that OpenTelemetry's conventions name; others are `_OTHER` in labels. */
export const knownMethods: ReadonlySet<string> = new Set([
  ...['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE'],
])

/** As a label. */
export function methodLabel(method: string): string {
  return knownMethods.has(method) ? method : '_OTHER'
}
