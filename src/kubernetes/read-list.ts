import { PodsonarError } from '../common/errors.ts'
import { freeBuffer } from '../common/free-buffer.ts'
import { JsonObjectCutter } from '../common/json-cut.ts'
import type { JsonShape } from '../common/json-pick.ts'
import { TimeSlice } from '../common/time-slice.ts'
import type { ApiRequest, KubernetesClient } from './client.ts'

export interface ListQuery {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export interface ListRequest extends ListQuery {
  readonly plural: string
  readonly path: string
  /** What is read of each object. */
  readonly shape: JsonShape
  readonly signal: AbortSignal
}

/** Objects a page. */
const pageSize = 250
const portionBytes = 65_536

/**
 * Reads a list page by page; all pages show the same moment. Objects are handed over one by one while they arrive, so
 * that no page exists as a whole: 250 pods would be 1.2 MB of text and ten times that of objects.
 *
 * @param each gets each object, parsed as far as the shape goes
 * @returns the resource version of that moment, to watch from, once the list was read to its end
 * @throws ApiError, `expired` when the list took so long that its moment is gone: begin again
 * @throws PodsonarError `list_cut` when an answer ends too early, is no list, or the list holds fewer objects than the
 *   server announced
 */
export async function readList(
  client: KubernetesClient,
  { plural, path, shape, labelSelector, fieldSelector, signal }: ListRequest,
  each: (object: unknown) => void,
): Promise<string> {
  const act = `list ${plural}`
  let seen = 0
  let announced: number | undefined
  let token: string | undefined
  for (;;) {
    const parameters = { limit: String(pageSize), continue: token, labelSelector, fieldSelector }
    const request = { act, path: `${path}?${searchParams(parameters)}`, signal }
    const page = await readPage(client, request, shape, each)
    seen += page.count
    if (token === undefined && page.remaining !== undefined) announced = seen + page.remaining
    token = page.continue
    if (token !== undefined) continue
    if (announced === undefined || announced === seen) return page.resourceVersion
    const expected = `expected the ${announced} that the first page announced`
    throw new PodsonarError('list_cut', `Cannot ${act}: got ${seen} objects, ${expected}`)
  }
}

interface PageEnd {
  readonly count: number
  readonly resourceVersion: string
  readonly continue: string | undefined
  /** `remainingItemCount`: absent where a selector is used. */
  readonly remaining: number | undefined
}

async function readPage(
  client: KubernetesClient,
  request: ApiRequest,
  shape: JsonShape,
  each: (object: unknown) => void,
): Promise<PageEnd> {
  const rest: Buffer[] = []
  const cutter = new JsonObjectCutter('items', shape, each, (bytes) => rest.push(Buffer.from(bytes)))
  const response = await client.stream(request)
  try {
    const slice = new TimeSlice()
    for await (const chunk of inPortions(response)) {
      cutter.push(chunk)
      // What has arrived meanwhile would otherwise be read in the same turn of the event loop, to the end of the page.
      if (slice.over) await slice.next()
    }
    return parsePageEnd(Buffer.concat(rest).toString())
  } catch (cause) {
    if (request.signal.aborted) throw request.signal.reason
    if (cause instanceof PodsonarError) throw cause
    const message = `Cannot ${request.act}: the answer broke off or is no list, expected a whole list`
    throw new PodsonarError('list_cut', message, { cause })
  } finally {
    response.destroy()
  }
}

/**
 * The chunks of a TLS connection are so small that every third pod lies in two: several at a time cost less. Each portion is
 * overwritten by the next.
 */
async function* inPortions(response: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const portion = Buffer.allocUnsafeSlow(portionBytes)
  let length = 0
  for await (const chunk of response) {
    for (let from = 0; from < chunk.length;) {
      const copied = chunk.copy(portion, length, from)
      from += copied
      length += copied
      if (length < portionBytes) continue
      yield portion
      length = 0
    }
    freeBuffer(chunk)
  }
  yield portion.subarray(0, length)
}

/** Reads a page that has `0` for each of its objects. @throws Error when it is no list */
function parsePageEnd(rest: string): PageEnd {
  const { metadata, items } = JSON.parse(rest) as {
    metadata?: { resourceVersion?: string; continue?: string; remainingItemCount?: number }
    items?: unknown[] | null
  }
  if (metadata?.resourceVersion === undefined || items === undefined)
    throw new Error('there is no metadata.resourceVersion or no items')
  const { resourceVersion, continue: token, remainingItemCount: remaining } = metadata
  // An empty list may be `null`.
  return { count: items?.length ?? 0, resourceVersion, continue: token === '' ? undefined : token, remaining }
}

/** A query string of the parameters that are set. */
export function searchParams(parameters: Readonly<Record<string, string | undefined>>): string {
  const set = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]))
  return new URLSearchParams(set).toString()
}
