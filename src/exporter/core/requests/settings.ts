/** What the reader tells requests.bpf.c: struct request_settings of src/exporter/bpf/requests.h. */

const size = 528
const filterAt = 16
const filterBits = 4_096

export interface RequestSettings {
  /** Of exchanges, one in this plus one is recorded: 0, 1, 3, 7 … */
  readonly sampleMask: number
  /** Another one whenever the chosen cgroups are others. */
  readonly generation: number
  /** Of the ring of events. */
  readonly ringBytes: number
  /** Whether the programs on TLS libraries are attached. */
  readonly followTls: boolean
  /** Those that are watched. */
  readonly cgroupIds: Iterable<number>
}

export function encodeSettings(settings: RequestSettings): Uint8Array {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, settings.sampleMask, true)
  view.setUint32(4, settings.generation, true)
  view.setUint32(8, settings.ringBytes, true)
  view.setUint32(12, settings.followTls ? 1 : 0, true)
  for (const id of settings.cgroupIds) {
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
  if (share > budget) {
    // At once as far as it takes, in powers of two: a burst shall not cost its server seconds.
    const steps = Math.ceil(Math.log2(share / budget))
    return Math.min(maxMask, ((mask + 1) << steps) - 1)
  }
  // Halved only when twice the work is surely within the budget: it would swing otherwise.
  return share < budget / 3 ? mask >>> 1 : mask
}
