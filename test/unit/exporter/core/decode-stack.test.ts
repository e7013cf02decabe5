import { describe, expect, it } from 'vitest'
import {
  decodeStackDrop,
  decodeStackInterface,
  decodeStackTimes,
  encodeStackFilter,
  stackBounds,
  stackInterfaceSize,
  stackStages,
  stackTimesSize,
} from '../../../../src/exporter/core/decode-stack.ts'

/** Words of eight bytes as bytes. */
function bytes(words: readonly number[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(words, (word) => BigInt(word)).buffer)
}

function key(...words: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(words).buffer)
}

describe('what stack.bpf.c keeps', () => {
  it('sums the times of all processors, stage by stage', () => {
    const words = stackTimesSize / 8
    const values = new Array<number>(2 * words).fill(0)
    for (const processor of [0, 1]) {
      values[processor * words + 1] = 1_500 // the sum of the second stage, ns
      values[processor * words + stackStages.length + 22 + 1] = 2 + processor // its second bucket
    }

    const times = decodeStackTimes(bytes(values))

    expect(times).toHaveLength(stackStages.length)
    expect(times[1]?.sumSeconds).toBeCloseTo(3e-6)
    expect([...(times[1]?.buckets ?? [])].slice(0, 3)).toEqual([0, 5, 0])
    expect(times[0]?.buckets.every((count) => count === 0)).toBe(true)
    expect(times[0]?.buckets).toHaveLength(stackBounds.length + 1)
  })

  it('has bounds from a microsecond to a second', () => {
    expect(stackBounds[0]).toBe(1.024e-6)
    expect(stackBounds.at(-1)).toBe(1.073741824)
  })

  it('sums the traffic of an interface and finds its name on the processor that wrote it', () => {
    const values = new Uint8Array(2 * stackInterfaceSize)
    values.set(bytes([10, 1, 20, 2]), 0)
    values.set(bytes([100, 3, 0, 0]), stackInterfaceSize)
    values.set(Buffer.from('eth0\0x'), stackInterfaceSize + 32)

    expect(decodeStackInterface(key(7, 2), values)).toEqual({
      ...{ namespace: 7, name: 'eth0' },
      ...{ receiveBytes: 110, receivePackets: 4, transmitBytes: 20, transmitPackets: 2 },
    })
  })

  it('calls an interface without a name by its index', () => {
    expect(decodeStackInterface(key(7, 2), new Uint8Array(stackInterfaceSize)).name).toBe('if2')
  })

  it('reads a drop', () => {
    expect(decodeStackDrop(key(4_026_531_840, 3), bytes([12]))).toEqual({
      ...{ namespace: 4_026_531_840, reason: 3, packets: 12 },
    })
  })

  it('sets a bit of the filter for each namespace, where the kernel looks for it', () => {
    const filter = new BigUint64Array(encodeStackFilter([4_026_531_840 + 65, 4_026_532_000]).buffer)
    const isSet = (netns: number): boolean =>
      (((filter[(netns >>> 6) & 63] ?? 0n) >> BigInt(netns & 63)) & 1n) === 1n

    expect([4_026_531_905, 4_026_532_000, 4_026_531_840].map(isSet)).toEqual([true, true, false])
  })
})
