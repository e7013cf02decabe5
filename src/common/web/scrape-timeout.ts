export interface TimeoutRules {
  /** For a client that names none, in milliseconds. */
  readonly defaultMs: number
  /** What no client can exceed, in milliseconds. */
  readonly maxMs: number
  /** What is kept back for the way to the client, in milliseconds; at most half of the whole. */
  readonly marginMs: number
}

/**
 * How long an answer to a scrape may take, in milliseconds: what Prometheus says that it will wait
 * (`X-Prometheus-Scrape-Timeout-Seconds`) less a margin, so that it hears why before it gives up.
 *
 * @param header the header's value, in seconds; unusable ones count as absent
 */
export function scrapeTimeoutMs(
  header: string | readonly string[] | undefined,
  { defaultMs, maxMs, marginMs }: TimeoutRules,
): number {
  const seconds = typeof header === 'string' && /^\d{1,9}(\.\d{1,9})?$/.test(header) ? Number(header) : 0
  const wholeMs = Math.min(seconds > 0 ? seconds * 1_000 : defaultMs, maxMs)
  return Math.max(wholeMs - marginMs, wholeMs / 2)
}
