import type { ServerResponse } from 'node:http'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Entries a piece: some 300 kB, a few milliseconds of the event loop. */
const entriesPerPiece = 250

/** Sends a JSON list of any length in pieces, between which others get their turn; `entryOf` makes an entry of an item. */
export async function sendJsonList<T>(
  response: ServerResponse,
  items: Iterable<T>,
  entryOf: (item: T) => unknown,
): Promise<void> {
  response.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  })
  let piece: string[] = []
  let first = true
  const flush = async (end: string): Promise<void> => {
    const text = (first ? '[' : ',') + piece.join(',')
    piece = []
    first = false
    if (!response.write(text === ',' ? end : text + end) && !response.destroyed)
      await Promise.race([once(response, 'drain'), once(response, 'close')])
    await nextTurn()
  }
  for (const item of items) {
    piece.push(JSON.stringify(entryOf(item)))
    if (piece.length === entriesPerPiece) await flush('')
    if (response.destroyed) return
  }
  await flush(']\n')
  response.end()
}
