import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import {
  decodeTcpHealth,
  failureReasons,
  joinTcpHealth,
  LongConnections,
  ownerKeySize,
  tcpConnectionSize,
  tcpHealthField as field,
  tcpHealthFields,
  tcpHealthSize,
} from '../../../../src/exporter/core/decode-tcp-health.ts'

function fixture(name: string): Uint8Array {
  const bytes = readFileSync(new URL(`../../../fixtures/ebpf/${name}`, import.meta.url))
  return new Uint8Array(bytes) // a copy, at the beginning of its own memory
}

const keys = fixture('tcp-health-keys.bin')
const values = fixture('tcp-health-values.bin')
const connections = fixture('tcp-connections.bin')
const namespace = 4_026_532_178

it('sums the counters of an owner over its processors', () => {
  expect(keys.length).toBe(2 * ownerKeySize)
  expect(values.length).toBe(2 * 2 * tcpHealthSize)

  const { cgroupId, namespace: namespaces, counters } = decodeTcpHealth(keys, values, 2, 2)

  expect([...cgroupId]).toEqual([0, 1])
  expect([...namespaces]).toEqual([namespace, namespace])
  const first = counters.subarray(0, tcpHealthFields)
  expect(first[field.resetsSent]).toBe(5)
  expect(first.reduce((sum, value) => sum + value)).toBe(5)
  const second = counters.subarray(tcpHealthFields)
  expect(second[field.connects]).toBe(212)
  expect(second[field.accepts]).toBe(212)
  expect(second[field.retransmits]).toBe(2)
  expect(second[field.resetsReceived]).toBe(12)
  expect(second[field.bytesReceived]).toBe(207_400)
  expect(second[field.connectNs]).toBe(1_950_139)
  expect(second[field.failures + failureReasons.indexOf('refused')]).toBe(5)
  expect(second[field.failures + failureReasons.indexOf('timed_out')]).toBe(1)
  expect(second[field.failures + failureReasons.indexOf('local')]).toBe(3)
  expect(second[field.connectBuckets]).toBe(212)
  expect(second[field.lifetimeBuckets]).toBe(414)
})

it('joins what was read in several parts', () => {
  const whole = decodeTcpHealth(keys, values, 2, 2)
  const parts = [0, 1].map((row) =>
    decodeTcpHealth(keys.slice(row * ownerKeySize), values.slice(row * 2 * tcpHealthSize), 1, 2),
  )

  expect(joinTcpHealth(parts)).toEqual(whole)
  expect(joinTcpHealth([])).toMatchObject({ length: 0 })
})

it.each([
  ['all of them', 3_927_000_000_000n, 10],
  ['those that are older than a moment', 3_926_000_000_000n, 2],
  ['none', 0n, 0],
])('counts long connections by owner: %s', (_what, before, count) => {
  const long = new LongConnections(before)

  long.add(connections, connections.length / tcpConnectionSize)

  expect(long.counts).toEqual(count === 0 ? [] : [{ cgroupId: 1, namespace, count }])
  expect(long.seen).toBe(10)
})

it('does not count a connection as long that does not stand yet', () => {
  const opening = connections.slice()
  for (let at = 0; at < opening.length; at += tcpConnectionSize) opening[at + 24] = 0
  const long = new LongConnections(3_927_000_000_000n)

  long.add(opening, opening.length / tcpConnectionSize)

  expect(long.counts).toEqual([])
})
