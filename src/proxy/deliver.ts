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

    // The connection itself is corked: Node's response, corked while it writes in chunks, may wait for a drain that never
    // comes. An answer that waits for another one on its connection has none yet.
    const { socket } = response
    socket?.cork()
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
      socket?.uncork()
      // A corked connection would hold back what it still has, and never drain.
      if (response.writableNeedDrain) source.pause()
      else socket?.cork()
    })
    response.on('drain', () => {
      if (!source.isPaused()) return
      socket?.cork()
      source.resume()
    })
    source.on('end', () => {
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
