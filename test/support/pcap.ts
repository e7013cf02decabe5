/** pcap files as tests need them. */

/** The file header that tcpdump writes: version 2.4, microseconds, Ethernet. */
export function pcapHeader({ snaplen = 262_144, linkType = 1, bigEndian = false } = {}): Buffer {
  const words = [0xa1b2_c3d4, 0x0002_0004, 0, 0, snaplen, linkType]
  const bytes = Buffer.alloc(24)
  for (const [index, word] of words.entries())
    if (bigEndian) bytes.writeUInt32BE(word, index * 4)
    else bytes.writeUInt32LE(word, index * 4)
  return bytes
}

/** A packet as it stands in the file. */
export function pcapRecord(contents: Buffer, seconds = 1_700_000_000, micros = 5, bigEndian = false): Buffer {
  const head = Buffer.alloc(16)
  for (const [index, word] of [seconds, micros, contents.length, contents.length].entries())
    if (bigEndian) head.writeUInt32BE(word, index * 4)
    else head.writeUInt32LE(word, index * 4)
  return Buffer.concat([head, contents])
}
