import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { PacketSink } from './capture.ts'

/** Hands packets to a stream, no faster than it takes them. */
export function streamSink(stream: Writable): PacketSink {
  return {
    write: (pieces) => {
      if (stream.destroyed) return true
      // Not corked: a corked HTTP response promises a "drain" that never comes.
      let hasRoom = true
      for (const piece of pieces) hasRoom = stream.write(piece)
      return hasRoom
    },
    drained: async () => {
      const over = new AbortController()
      const { signal } = over
      await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(
        () => undefined,
      )
      over.abort()
    },
  }
}
