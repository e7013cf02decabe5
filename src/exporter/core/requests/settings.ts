/** What the reader tells requests.bpf.c: struct request_settings of src/exporter/bpf/requests.h. */

const size = 520
const filterAt = 8
const filterBits = 4_096

/**
 * @param sampleMask of exchanges, one in this plus one is recorded: 0, 1, 3, 7 …
 * @param cgroupIds those that are watched
 */
export function encodeSettings(sampleMask: number, cgroupIds: Iterable<number>): Uint8Array {
  const bytes = new Uint8Array(size)
  new DataView(bytes.buffer).setUint32(0, sampleMask, true)
  for (const id of cgroupIds) {
    const bit = id % filterBits
    const at = filterAt + (bit >>> 3)
    bytes[at] = (bytes[at] ?? 0) | (1 << (bit & 7))
  }
  return bytes
}

/** Finest sampling: one in 1024. */
const maxMask = 1_023

/**
 * The next mask, so that the reading takes about its share of a processor.
 *
 * @param share of the time since the last one that was spent with reading: 0 to 1
 * @param budget what it may be
 */
export function nextSampleMask(mask: number, share: number, budget: number): number {
  if (share > budget) return Math.min(maxMask, mask * 2 + 1)
  // Halved only when twice the work is surely within the budget: it would swing otherwise.
  return share < budget / 3 ? mask >>> 1 : mask
}
