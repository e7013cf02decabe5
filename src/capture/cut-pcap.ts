import { ftruncateSync, readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { PcapFramer } from './core/pcap.ts'

/** How much is read at once, in bytes. */
const pieceBytes = 1 << 20

/**
 * Cuts a pcap file after its last whole packet within `maxBytes`.
 *
 * @param descriptor open for reading and writing
 * @returns how many packets and bytes it has now
 */
export async function cutPcap(
  descriptor: number,
  maxBytes: number | undefined,
): Promise<{ packets: number; bytes: number }> {
  const framer = new PcapFramer(maxBytes)
  for (let at = 0; !framer.full;) {
    const piece = Buffer.allocUnsafe(pieceBytes)
    const length = readSync(descriptor, piece, 0, pieceBytes, at)
    if (length === 0) break
    framer.take(piece.subarray(0, length))
    at += length
    await setImmediate()
  }
  ftruncateSync(descriptor, framer.bytes)
  return { packets: framer.packets, bytes: framer.bytes }
}
