import { expect, it } from 'vitest'
import { LiveTcpBuilder, rttBuckets } from '../../../../src/exporter/core/live-tcp.ts'
import { tcpState } from '../../../../src/exporter/core/socket-table.ts'

it('keeps apart many owners, of cgroup ids beyond 32 bits and inodes beyond 31, in the order in which they came', () => {
  const builder = new LiveTcpBuilder()
  const owners = Array.from({ length: 5_000 }, (_, k) => ({
    namespace: 4_026_531_840 + (k % 700),
    cgroupId: 2 ** 40 + k,
  }))
  for (let round = 0; round < 2; round += 1)
    for (const { namespace, cgroupId } of owners)
      builder.add(namespace, cgroupId, tcpState.established, 600, 2 ** 33, 1)

  const live = builder.finish()

  expect(live.length).toBe(owners.length)
  expect([...live.cgroupId]).toEqual(owners.map(({ cgroupId }) => cgroupId))
  expect([...live.namespace]).toEqual(owners.map(({ namespace }) => namespace))
  expect(new Set(live.bytesReceived)).toEqual(new Set([2 ** 34]))
  expect(new Set(live.bytesAcked)).toEqual(new Set([2]))
  expect([...live.rtt.subarray(0, rttBuckets)]).toEqual([0, 2, 0, 0, 0, 0, 0, 0])
})

it('ignores sockets that listen, and those of nobody', () => {
  const builder = new LiveTcpBuilder()
  builder.add(1, 2, tcpState.listen, 0, 0, 0)
  builder.add(1, 0, tcpState.established, 5, 1, 1)
  expect(builder.finish().length).toBe(0)
})
