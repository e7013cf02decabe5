import type { Writable } from 'node:stream'
import type { PacketSink } from './capture.ts'

/** How much may wait in memory for a slow reader before no more is taken, in bytes. */
const maxWaitingBytes = 1 << 20

/** Hands packets to a stream, no faster than it takes them. */
export function streamSink(stream: Writable): PacketSink {
  return {
    write: (pieces) => {
      if (stream.destroyed) return true
      let hasRoom = true
      // Not corked: a corked HTTP response promises a "drain" that never comes.
      for (const piece of pieces) hasRoom = stream.write(piece)
      return hasRoom || stream.writableLength < maxWaitingBytes
    },
    drained: () =>
      new Promise((resolve) => {
        const done = (): void => {
          stream.off('drain', done)
          stream.off('close', done)
          resolve()
        }
        stream.on('drain', done)
        stream.on('close', done)
        if (stream.destroyed || !stream.writableNeedDrain) done()
      }),
  }
}
