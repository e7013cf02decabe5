import { PodsonarError } from '../common/errors.ts'
import { ApiError, type StatusBody } from './api-error.ts'
import type { KubernetesClient } from './client.ts'
import { LineSplitter } from './line-splitter.ts'
import { searchParams, type ListQuery } from './read-list.ts'

/** What a watch says. */
export type WatchEvent =
  | {
      readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
      readonly object: unknown
      readonly resourceVersion: string
    }
  /** Nothing happened to the objects asked for; the version moved on. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }

export interface WatchRequest extends ListQuery {
  readonly plural: string
  readonly path: string
  /** Where to begin: of a list, or of the last event. */
  readonly resourceVersion: string
  /** The server ends the watch after that many seconds. */
  readonly timeoutSeconds: number
  /** The longest silence, in milliseconds. Servers send a bookmark a minute. */
  readonly silenceMs: number
  readonly signal: AbortSignal
}

/** etcd takes no object over 1.5 MB by default; events are a little longer. */
const maxLineBytes = 16 * 1_024 * 1_024

/**
 * Opens a watch and gives its events, in batches as they arrive; ends when the server ends it.
 *
 * @throws ApiError, `expired` when the resource version is too old: list again
 * @throws PodsonarError `api_unreachable`, `api_silent`, `watch_broken`
 */
export async function* watchEvents(
  client: KubernetesClient,
  request: WatchRequest,
): AsyncGenerator<readonly WatchEvent[], void, undefined> {
  const { plural, path, resourceVersion, timeoutSeconds, silenceMs, signal } = request
  const act = `watch ${plural}`
  const query = searchParams({
    watch: 'true',
    allowWatchBookmarks: 'true',
    resourceVersion,
    timeoutSeconds: String(timeoutSeconds),
    labelSelector: request.labelSelector,
    fieldSelector: request.fieldSelector,
  })
  const response = await client.stream({ act, path: `${path}?${query}`, signal, silenceMs })
  const lines = new LineSplitter(maxLineBytes)
  // The server has answered: the caller may count the watch as open.
  yield []
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const events = lines.push(chunk).map((line) => parseEvent(act, line))
      if (events.length > 0) yield events
    }
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    if (cause instanceof PodsonarError) throw cause
    throw new PodsonarError('watch_broken', `Cannot ${act} any longer: the connection broke`, { cause })
  } finally {
    response.destroy()
  }
}

/**
 * Reads one line of a watch.
 *
 * @throws ApiError for an ERROR event
 * @throws PodsonarError `watch_broken` for anything that is no event
 */
export function parseEvent(act: string, line: string): WatchEvent {
  const { type, object } = parseJson(act, line) as {
    type?: string
    object?: { metadata?: { resourceVersion?: string }; code?: number } & StatusBody
  }
  if (type === 'ERROR') throw new ApiError(act, object?.code ?? 500, object ?? {})
  const resourceVersion = object?.metadata?.resourceVersion
  if (resourceVersion !== undefined) {
    if (type === 'BOOKMARK') return { type, resourceVersion }
    if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED')
      return { type, object, resourceVersion }
  }
  throw new PodsonarError(
    'watch_broken',
    `Cannot ${act}: the server sent ${line.slice(0, 100)}, expected an event with an object`,
  )
}

function parseJson(act: string, line: string): object {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : {}
  } catch (cause) {
    throw new PodsonarError('watch_broken', `Cannot ${act}: the server sent what is no JSON`, { cause })
  }
}
