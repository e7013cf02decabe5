import { describe, expect, it } from 'vitest'
import { encodeSettings, nextSampleMask } from '../../../../../src/exporter/core/requests/settings.ts'

describe('the settings of the request programs', () => {
  it('have a bit for each cgroup, where the program looks for it', () => {
    const ids = [0, 1, 63, 64, 4_095, 4_096 + 70, 281_474_976_710_655]
    const words = new BigUint64Array(
      encodeSettings({ sampleMask: 7, generation: 3, ringBytes: 65_536, followTls: true, cgroupIds: ids })
        .buffer,
    )

    expect(Number((words[0] ?? 0n) & 0xffff_ffffn)).toBe(7)
    for (const id of ids)
      expect(((words[2 + ((Math.floor(id / 64) & 63) >>> 0)] ?? 0n) >> BigInt(id % 64)) & 1n).toBe(1n)
    expect((words[2] ?? 0n) & 4n).toBe(0n)
  })

  it('sample more while reading takes too long, and less once it surely does not', () => {
    expect(nextSampleMask(0, 0.05, 0.1)).toBe(0)
    expect(nextSampleMask(0, 0.2, 0.1)).toBe(1)
    expect(nextSampleMask(1, 0.2, 0.1)).toBe(3)
    expect(nextSampleMask(3, 0.09, 0.1)).toBe(3)
    expect(nextSampleMask(3, 0.02, 0.1)).toBe(1)
    expect(nextSampleMask(1, 0, 0.1)).toBe(0)
    expect(nextSampleMask(1_023, 1, 0.1)).toBe(1_023)
  })
})
