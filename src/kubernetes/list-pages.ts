import { PodsonarError } from '../common/errors.ts'
import type { KubernetesClient } from './client.ts'

/** One page of a list. All pages of a list show the same moment. */
export interface Page {
  readonly items: readonly unknown[]
  /** The moment that the list shows, to watch from. */
  readonly resourceVersion: string
}

export interface ListQuery {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

/** Objects a page. */
const pageSize = 250
/** Parsing a page blocks the event loop; with bigger objects it holds fewer. 1.5 MB take about 10 ms. */
const pageBytes = 1_500_000
const smallestPage = 25

/**
 * Reads a list page by page. Reaching the end means that the list was read whole.
 *
 * @throws ApiError, `expired` when the list took so long that its moment is gone: begin again
 * @throws PodsonarError `list_cut` when the pages hold fewer objects than the server announced, or are no list
 */
export async function* listPages(
  client: KubernetesClient,
  plural: string,
  path: string,
  { labelSelector, fieldSelector }: ListQuery,
  signal: AbortSignal,
): AsyncGenerator<Page, void, undefined> {
  const act = `list ${plural}`
  let limit = pageSize
  let token: string | undefined
  let expected: number | undefined
  let seen = 0
  do {
    const query = searchParams({ limit: String(limit), continue: token, labelSelector, fieldSelector })
    const { value, bytes } = await client.json({ act, path: `${path}?${query}`, signal })
    const page = parsePage(act, value)
    seen += page.items.length
    if (token === undefined && page.remaining !== undefined) expected = seen + page.remaining
    token = page.continue
    limit = nextLimit(page.items.length, bytes)
    yield { items: page.items, resourceVersion: page.resourceVersion }
  } while (token !== undefined)
  if (expected !== undefined && seen !== expected) {
    throw new PodsonarError(
      'list_cut',
      `Cannot ${act}: got ${seen} objects, expected the ${expected} that the first page announced`,
    )
  }
}

/** How many objects to ask for after a page of `count` objects in `bytes` bytes. */
export function nextLimit(count: number, bytes: number): number {
  if (count === 0) return pageSize
  return Math.max(smallestPage, Math.min(pageSize, Math.floor((pageBytes * count) / bytes)))
}

interface ParsedPage extends Page {
  readonly continue: string | undefined
  /** `remainingItemCount`: absent where a selector is used. */
  readonly remaining: number | undefined
}

function parsePage(act: string, value: unknown): ParsedPage {
  const { metadata, items } = (value ?? {}) as {
    metadata?: { resourceVersion?: string; continue?: string; remainingItemCount?: number }
    items?: unknown[] | null
  }
  // An empty list may be `null`.
  if (metadata?.resourceVersion === undefined || items === undefined)
    throw new PodsonarError('list_cut', `Cannot ${act}: the answer is no list, expected metadata and items`)
  const { resourceVersion, continue: token, remainingItemCount: remaining } = metadata
  return { items: items ?? [], resourceVersion, continue: token === '' ? undefined : token, remaining }
}

/** A query string of the parameters that are set. */
export function searchParams(parameters: Readonly<Record<string, string | undefined>>): string {
  const set = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]))
  return new URLSearchParams(set).toString()
}
