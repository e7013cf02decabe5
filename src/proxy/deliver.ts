import type { IncomingMessage, ServerResponse } from 'node:http'

/** How a body's way to the client ended. */
export interface Delivery {
  readonly end: 'done' | 'lost' | 'too_large' | 'client_gone'
  /** Of the body, as they came. */
  readonly bytes: number
}

/** Bytes that are written to the client in one go: one system call in place of eight TLS records' worth. */
const corkBytes = 128 * 1024

/**
 * Passes a body on as it comes, byte for byte, no faster than the client takes it. A body that does not come to its end
 * destroys the client's connection, since a clean end would make half a page look whole.
 *
 * @param source the target's answer, of which nothing has been read; destroyed unless it was read to its end
 * @param response with its head set, and nothing written
 */
export function deliver(
  source: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
): Promise<Delivery> {
  return new Promise((resolve) => {
    let bytes = 0
    let corked = 0
    let failure: 'lost' | 'too_large' | undefined
    const fail = (reason: 'lost' | 'too_large'): void => {
      failure ??= reason
      source.destroy()
      response.destroy()
    }
    response.once('close', () => {
      source.destroy()
      resolve({ end: failure ?? (response.writableFinished ? 'done' : 'client_gone'), bytes })
    })
    if (response.destroyed) return

    // An answer that waits for another one on its connection has none to cork yet.
    const corks = response.socket !== null
    if (corks) response.cork()
    source.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      corked += chunk.length
      if (bytes > maxBytes) {
        fail('too_large')
        return
      }
      response.write(chunk)
      if (corked < corkBytes) return
      corked = 0
      if (corks) response.uncork()
      // A corked connection would hold back what it still has, and never drain.
      if (response.writableNeedDrain) source.pause()
      else if (corks) response.cork()
    })
    response.on('drain', () => {
      if (!source.isPaused()) return
      if (corks) response.cork()
      source.resume()
    })
    source.on('end', () => {
      // end() alone would write the last chunk after the end of a chunked body (seen in Node 24).
      if (response.writableCorked > 0) response.uncork()
      response.end()
    })
    source.on('error', () => {
      fail('lost')
    })
    source.on('close', () => {
      if (!source.readableEnded) fail('lost')
    })
    if (source.destroyed) fail('lost')
  })
}
