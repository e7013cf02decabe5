import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CertificateAuthority } from '../../../../lab/certificates.ts'
import { run } from '../../../../lab/process.ts'
import { waitFor } from '../../../../lab/wait.ts'
import type { ExcludingCall } from '../../../../src/exporter/core/sockops/layout.ts'
import { describeWith } from '../../../setup/needs.ts'
import { ShortCutCgroup } from '../../../../lab/short-cut-cgroup.ts'

const script = fileURLToPath(new URL('../../../support/socket-cases.py', import.meta.url))
const encrypted = fileURLToPath(new URL('../../../support/encrypted-pair.ts', import.meta.url))

/** Ways to use a connection that come out the same on a short-cut one. */
const handedOver = [
  ...['tiny', 'large', 'half_close', 'half_close_unread', 'reset_by_linger', 'reset_by_late_write'],
  ...['back_pressure', 'sendfile', 'peek', 'edge_triggered', 'writer_dies', 'reader_dies'],
]
/** Those that it cannot do: whoever uses them is refused, and by what. */
const refused: [name: string, call: ExcludingCall][] = [
  ['fionread', 'fionread'],
  ['splice', 'splice'],
  ['urgent', 'urgent'],
  ['urgent_inline', 'urgent'],
  ['wait_all', 'wait_all'],
  ['truncate', 'truncate'],
]
const families = ['v4', 'v6', 'mapped']

describeWith(['root', 'bpf', 'python3'], 'a connection that is short-cut', () => {
  describe.each(families)('%s', (family) => {
    let shared: ShortCutCgroup
    beforeAll(async () => {
      shared = await ShortCutCgroup.start()
    })
    afterAll(() => shared[Symbol.asyncDispose]())

    it.each(handedOver)('is the same to both ends: %s', async (name) => {
      const before = shared.reading
      const args = [script, name, family]
      expect(await shared.run('python3', args)).toBe(await run('python3', args))
      await waitFor('messages to be counted', () => shared.reading.messages > before.messages)
      expect(shared.reading).toMatchObject({ excluded: {}, connections: before.connections + 2 })
    })
  })

  it.each(refused)('is refused to who uses %s', async (name, call) => {
    await using shortCut = await ShortCutCgroup.start()
    const args = [script, name, 'v4']
    expect(await shortCut.run('python3', args)).toBe(await run('python3', args))
    await waitFor('the call to be seen', () => shortCut.reading.excluded[call] === 1)
    expect(shortCut.reading).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('ends in order where a plain one is reset: closed with bytes that were not read', async () => {
    await using shortCut = await ShortCutCgroup.start()
    const args = [script, 'close_unread', 'v4']
    const plain = await run('python3', args)
    expect(plain).toContain('"ECONNRESET"')
    expect(await shortCut.run('python3', args)).toBe(plain.replace('ECONNRESET', 'end'))
  })

  it('carries TLS and HTTP/2', async () => {
    await using authority = await CertificateAuthority.create()
    const { certificateFile, keyFile } = await authority.issue({
      commonName: 'localhost',
      dns: ['localhost'],
    })
    await using shortCut = await ShortCutCgroup.start()
    const args = [encrypted, certificateFile, keyFile]
    expect(await shortCut.run(process.execPath, args)).toBe(await run(process.execPath, args))
    await waitFor('messages to be counted', () => shortCut.reading.messages > 10)
  })
})
