import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ciliumInterface, isShortCut } from '../../../../../src/exporter/core/sockops/choose.ts'
import {
  callsOf,
  decodeEnds,
  encodeChosen,
  excludingCalls,
  fallbackReasons,
  sockopsChosenSize,
  sockopsCountersSize,
  sockopsEndSize,
  sumCounters,
} from '../../../../../src/exporter/core/sockops/layout.ts'

const header = readFileSync(new URL('../../../../../src/exporter/bpf/sockops.h', import.meta.url), 'utf8')

describe('what sockops.h lays out', () => {
  it('has as many reasons and calls as are named here', () => {
    expect(header.match(/^\tFALLBACK_\w+,/gm)).toHaveLength(fallbackReasons.length)
    expect(header.match(/^\tCALL_\w+,/gm)).toHaveLength(excludingCalls.length)
  })

  it('is summed over processors', () => {
    const words = sockopsCountersSize / 8
    const memory = new BigUint64Array(2 * words)
    memory.set([5n, 700n, 2n, 1n], 0)
    memory.set([1n, 10n, 0n, 4n, 9n], words)
    expect(sumCounters(memory)).toMatchObject({
      ...{ messages: 6, bytes: 710, connections: 2 },
      fallbacks: { no_peer: 5, not_read_yet: 9, no_room: 0 },
    })
  })

  it('tells calls by bits', () => {
    expect(callsOf(0)).toEqual([])
    expect(callsOf(0b101)).toEqual(['fionread', 'wait_all'])
  })

  it('gives ends with their cgroup, and whether something waits', () => {
    const keys = new Uint8Array(BigUint64Array.of(7n, 8n).buffer)
    const values = new DataView(new ArrayBuffer(2 * sockopsEndSize))
    values.setBigUint64(16, 41n, true)
    values.setUint32(32, 1, true)
    values.setBigUint64(sockopsEndSize + 16, 42n, true)
    values.setUint8(2 * sockopsEndSize - 1, 9)
    const flow = new Uint8Array(40)
    expect(decodeEnds(keys, new Uint8Array(values.buffer), 2)).toEqual([
      { cookie: 7n, cgroupId: 41, drained: true, flow },
      { cookie: 8n, cgroupId: 42, drained: false, flow: flow.with(39, 9) },
    ])
  })

  it('begins without calls, at a time', () => {
    expect([...new BigUint64Array(encodeChosen(9n).buffer)]).toEqual([0n, 9n])
    expect(encodeChosen(9n)).toHaveLength(sockopsChosenSize)
  })
})

describe('which pods are short-cut', () => {
  const pod = { name: 'a', namespace: 'b', uid: 'c', labels: {} }

  it('is said by their annotation, and by nothing else than true', () => {
    expect(isShortCut({ ...pod, annotations: { 'podsonar.io/sockops': 'true' } })).toBe(true)
    for (const value of ['True', '1', 'false', ''])
      expect(isShortCut({ ...pod, annotations: { 'podsonar.io/sockops': value } })).toBe(false)
    expect(isShortCut({ ...pod, annotations: {} })).toBe(false)
  })

  it('is none beside Cilium', () => {
    expect(ciliumInterface(['lo', 'eth0', 'cilium_host'])).toBe('cilium_host')
    expect(ciliumInterface(['cilium_ipip4'])).toBe('cilium_ipip4')
    expect(ciliumInterface(['lo', 'eth0', 'lxc1234', 'my_cilium_host'])).toBeUndefined()
  })
})
