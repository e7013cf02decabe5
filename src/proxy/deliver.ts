import type { ServerResponse } from 'node:http'
import type { Body } from './body.ts'
import type { BufferPool } from './core/buffer-pool.ts'

/** How a body's way to the client ended. */
export interface Delivery {
  readonly end: 'done' | 'lost' | 'too_large' | 'client_gone'
  /** Of the body, as they came. */
  readonly bytes: number
}

/**
 * Passes a body on, byte for byte, no faster than the client takes it: gathered in buffers, so that the client's side costs
 * one call for each of those and not for each piece. A body that does not come to its end destroys the client's
 * connection, since a clean end would make half a page look whole.
 *
 * @param body destroyed unless it came to its end
 * @param response with its head set, and nothing written
 */
export function deliver(
  body: Body,
  response: ServerResponse,
  { maxBytes, buffers }: { readonly maxBytes: number; readonly buffers: BufferPool },
): Promise<Delivery> {
  return new Promise((resolve) => {
    let bytes = 0
    let ended = false
    let failure: 'lost' | 'too_large' | undefined
    let buffer: Buffer | undefined
    let filled = 0
    const fail = (reason: 'lost' | 'too_large'): void => {
      failure ??= reason
      body.destroy()
      response.destroy()
    }
    /** What is gathered, for a write that gives its buffer back. */
    const gathered = (): [piece: Buffer | undefined, written: () => void] => {
      const full = buffer
      const piece = full?.subarray(0, filled)
      buffer = undefined
      filled = 0
      return [
        piece,
        () => {
          if (full !== undefined) buffers.give(full)
        },
      ]
    }
    response.once('close', () => {
      if (!ended) body.destroy()
      gathered()[1]()
      resolve({ end: failure ?? (response.writableFinished ? 'done' : 'client_gone'), bytes })
    })
    if (response.destroyed) return

    response.on('drain', () => {
      body.resume()
    })
    body.start({
      data: (piece) => {
        bytes += piece.length
        if (bytes > maxBytes) fail('too_large')
        if (response.destroyed) return
        for (let from = 0; from < piece.length;) {
          buffer ??= buffers.take()
          const copied = piece.copy(buffer, filled, from)
          from += copied
          filled += copied
          if (filled < buffer.length) continue
          const [full, written] = gathered()
          response.write(full, written)
          if (response.writableNeedDrain) body.pause()
        }
      },
      end: () => {
        ended = true
        if (response.destroyed) return
        const [rest, written] = gathered()
        if (rest === undefined) response.end()
        else response.end(rest, written)
      },
      lost: () => {
        fail('lost')
      },
    })
  })
}
