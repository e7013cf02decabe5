import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../../../lab/process.ts'
import { ShortCutCgroup } from '../../../../lab/short-cut-cgroup.ts'
import { waitFor } from '../../../../lab/wait.ts'
import { excludingCalls, type ExcludingCall } from '../../../../src/exporter/core/sockops/layout.ts'
import { describeWith } from '../../../setup/needs.ts'

const script = fileURLToPath(new URL('../../../support/socket-cases.py', import.meta.url))

/** Ways to use a connection that a short cut cannot do, and by what whoever uses them is refused. */
const uses: [name: string, call: ExcludingCall][] = [
  ['fionread', 'fionread'],
  ['in_queue', 'fionread'],
  ['splice', 'splice'],
  ['splice_by_sendfile', 'splice'],
  ['wait_all', 'wait_all'],
  ['urgent', 'urgent'],
  ['urgent_inline', 'urgent'],
  ['truncate', 'truncate'],
  ['zero_copy', 'zero_copy'],
  ['tls_in_kernel', 'tls_in_kernel'],
  ['repair', 'tls_in_kernel'],
  ['peek_offset', 'peek_offset'],
  ['blocking_receive', 'blocking_receive'],
  ['io_uring', 'io_uring'],
  ['peek', 'peek'],
  ['peek_far', 'peek'],
  ['timestamps', 'timestamps'],
]

/** What docs/sockops.md names, one by one: names of socket-cases.py. */
const calls: Partial<Record<ExcludingCall, readonly string[]>> = {
  fionread: ['FIONREAD', 'SIOCATMARK', 'TCP_INQ'],
  splice: ['TCP_ZEROCOPY_RECEIVE'],
  wait_all: ['recv MSG_WAITALL', 'recvmsg MSG_WAITALL', 'recvmmsg MSG_WAITALL', 'SO_RCVLOWAT'],
  urgent: [
    ...['recv MSG_OOB', 'send MSG_OOB', 'sendmsg MSG_OOB', 'sendmmsg MSG_OOB', 'SO_OOBINLINE'],
    ...['F_SETOWN', 'F_SETOWN_EX', 'FIOSETOWN', 'SIOCSPGRP'],
  ],
  truncate: ['recv MSG_TRUNC'],
  zero_copy: ['SO_ZEROCOPY'],
  tls_in_kernel: ['TCP_ULP', 'TCP_REPAIR'],
  peek_offset: ['SO_PEEK_OFF'],
  io_uring: ['io_uring SEND'],
  timestamps: [
    ...['SO_TIMESTAMP', 'SO_TIMESTAMPNS', 'SO_TIMESTAMPING'],
    ...['SO_TIMESTAMP_NEW', 'SO_TIMESTAMPNS_NEW', 'SO_TIMESTAMPING_NEW'],
  ],
}
const each = excludingCalls.flatMap((call) => (calls[call] ?? []).map((name) => [name, call] as const))

describeWith(['root', 'bpf', 'python3'], 'the short cut is refused', () => {
  it('for every reason', () => {
    expect(new Set(uses.map(([, call]) => call))).toEqual(new Set(excludingCalls))
  })

  it.each(uses)('to who uses %s', async (name, call) => {
    await using shortCut = await ShortCutCgroup.start()
    const args = [script, name, 'v4']
    expect(await shortCut.run('python3', args)).toBe(await run('python3', args))
    await waitFor('the call to be seen', () => shortCut.reading.excluded[call] === 1)
    expect(await shortCut.nextReading()).toMatchObject({ messages: 0, bytes: 0 })
  })

  describe('after one call', () => {
    let shared: ShortCutCgroup
    beforeAll(async () => {
      shared = await ShortCutCgroup.start({ others: each.length })
    })
    afterAll(() => shared[Symbol.asyncDispose]())

    it.each(each.map(([name, call], index) => [name, call, index] as const))(
      '%s: %s',
      async (name, call, index) => {
        const before = shared.reading.excluded[call] ?? 0
        const args = [script, name, 'v4']
        expect(await shared.run('python3', args, shared.others[index])).toBe(await run('python3', args))
        await waitFor('the call to be seen', () => shared.reading.excluded[call] === before + 1)
      },
    )
  })

  it('to nobody else', async () => {
    await using shortCut = await ShortCutCgroup.start({ others: 1 })
    await shortCut.run('python3', [script, 'FIONREAD', 'v4'])
    await waitFor('the call to be seen', () => shortCut.reading.excluded.fionread === 1)
    const { messages } = await shortCut.nextReading()
    await shortCut.run('python3', [script, 'tiny', 'v4'], shortCut.others[0])
    await waitFor('messages of the other', () => shortCut.reading.messages > messages)
  })
})
