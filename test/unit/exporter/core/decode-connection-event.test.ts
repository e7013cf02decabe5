import { expect, it } from 'vitest'
import { decodeConnectionEvent } from '../../../../src/exporter/core/decode-connection-event.ts'

/** A record as connection-events.bpf.c writes it. */
function record(before: number, after: number, family = 2): DataView {
  const view = new DataView(new ArrayBuffer(104))
  for (const [index, value] of [0xffff_8883_cf42_5c80n, 5_000n, 77n, 10n, 20n].entries())
    view.setBigUint64(index * 8, value, true)
  for (const [index, value] of [4_026_532_000, 123, 45, 6, 111].entries())
    view.setUint32(40 + index * 4, value, true)
  view.setUint16(60, 8080, true)
  view.setUint16(62, 40_000, true)
  view.setUint16(64, family, true)
  view.setUint8(66, before)
  view.setUint8(67, after)
  const addresses = family === 2 ? [127, 0, 0, 1] : [0xfd, 0, ...new Array<number>(13).fill(0), 9]
  for (const [index, value] of addresses.entries()) {
    view.setUint8(72 + index, value)
    view.setUint8(88 + index, value)
  }
  return view
}
const decode = (view: DataView, length = 104): ReturnType<typeof decodeConnectionEvent> =>
  decodeConnectionEvent(new Uint8Array(view.buffer), view, 0, length)

it('reads every field of a record', () => {
  expect(decode(record(2, 7))).toEqual({
    ...{ step: 'failed', socket: 0xffff_8883_cf42_5c80n, atNs: 5_000, cgroupId: 77 },
    ...{ bytesReceived: 10, bytesSent: 20, namespace: 4_026_532_000, pid: 123, rttNs: 45_000 },
    ...{ retransmits: 6, error: 111, localPort: 8080, remotePort: 40_000 },
    ...{ localAddress: '127.0.0.1', remoteAddress: '127.0.0.1' },
  })
  expect(decode(record(1, 7, 10))?.remoteAddress).toBe('fd00::9')
})

it.each([
  [7, 2, 'connecting'],
  [2, 1, 'connected'],
  [3, 1, 'accepted'],
  [1, 4, 'ending'],
  [1, 8, 'peer_ending'],
  [9, 7, 'closed'],
  [2, 7, 'failed'],
])('knows the step from state %i to %i: %s', (before, after, step) => {
  expect(decode(record(before, after))?.step).toBe(step)
})

it('leaves out what is no record', () => {
  expect(decode(record(1, 5))).toBeUndefined()
  expect(decode(record(1, 7), 96)).toBeUndefined()
})
