/** What a reader of the embedded catalog asks for. */

export interface CatalogQuery {
  /** Wait until the index is another one; undefined: answer at once. */
  readonly index: number | undefined
  readonly waitMs: number
  /** Only instances with all of these. */
  readonly tags: readonly string[]
  /** Only where the node has these, as `key:value`. */
  readonly nodeMeta: readonly string[]
  readonly datacenter: string | undefined
}

/** What cannot be answered, as Consul answers 400: leaving it out would find too many targets. */
export class BadQuery extends Error {}

/** Consul's: without `wait`, and at most. */
const usualWaitMs = 300_000
const longestWaitMs = 600_000

/**
 * Reads the parameters of a request that consul_sd uses. Those that change nothing here (`stale`, `consistent`, `passing`:
 * there are no checks) are taken without effect.
 *
 * @throws BadQuery
 */
export function parseQuery(parameters: URLSearchParams): CatalogQuery {
  if (parameters.has('filter'))
    throw new BadQuery('filter: the embedded catalog has no filters, expected tag or relabelling instead')
  const index = parameters.get('index')
  if (index !== null && !/^\d{1,20}$/.test(index)) throw new BadQuery('Invalid index')
  const wait = parameters.get('wait')
  const waitMs = wait === null || wait === '' ? usualWaitMs : parseDuration(wait)
  if (waitMs === undefined) throw new BadQuery('Invalid wait time')
  return {
    index: index === null || Number(index) === 0 ? undefined : Number(index),
    waitMs: Math.min(waitMs === 0 ? usualWaitMs : waitMs, longestWaitMs),
    tags: parameters.getAll('tag').filter((tag) => tag !== ''),
    nodeMeta: parameters.getAll('node-meta'),
    datacenter: parameters.get('dc') ?? undefined,
  }
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** A duration as Go writes it (`1m30s`, `30000ms`), in milliseconds; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text) return undefined
  return parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (units[unit] ?? 0), 0)
}
