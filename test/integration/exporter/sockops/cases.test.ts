import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CertificateAuthority } from '../../../../lab/certificates.ts'
import { run } from '../../../../lab/process.ts'
import { waitFor } from '../../../../lab/wait.ts'
import { describeWith } from '../../../setup/needs.ts'
import { ShortCutCgroup } from '../../../../lab/short-cut-cgroup.ts'
import { VethPair } from '../../../../lab/veth-pair.ts'

const script = fileURLToPath(new URL('../../../support/socket-cases.py', import.meta.url))
const encrypted = fileURLToPath(new URL('../../../support/encrypted-pair.ts', import.meta.url))

/** Ways to use a connection that come out the same on a short-cut one. */
const handedOver = [
  ...['tiny', 'large', 'half_close', 'half_close_unread', 'reset_by_linger', 'reset_by_late_write'],
  ...['shut_both_ways', 'shut_to_read', 'back_pressure', 'sendfile', 'peek_one', 'edge_triggered'],
  ...['writer_dies', 'reader_dies'],
]
const families = ['v4', 'v6', 'mapped', 'both_mapped']
/** Those that MPTCP makes are left alone: how many ends of each case are plain ones that are not. */
const multipath: [name: string, plain: number][] = [
  ['multipath_server', 1],
  ['multipath', 0],
]

describeWith(['root', 'bpf', 'python3'], 'a connection that is short-cut', () => {
  describe.each(families)('%s', (family) => {
    let shared: ShortCutCgroup
    beforeAll(async () => {
      shared = await ShortCutCgroup.start()
    })
    afterAll(() => shared[Symbol.asyncDispose]())

    it.each(handedOver)('is the same to both ends: %s', async (name) => {
      const before = await shared.nextReading()
      const args = [script, name, family]
      expect(await shared.run('python3', args)).toBe(await run('python3', args))
      const after = await shared.nextReading()
      expect(after).toMatchObject({ excluded: {}, connections: before.connections + 2 })
      expect(after.messages).toBeGreaterThan(before.messages)
    })
  })

  it.each(multipath)('is left alone where the kernel made the socket: %s', async (name, plain) => {
    await using shortCut = await ShortCutCgroup.start()
    const args = [script, name, 'v4']
    expect(await shortCut.run('python3', args)).toBe(await run('python3', args))
    // The pair that each case begins with.
    await waitFor('connections to be counted', () => shortCut.reading.connections === 2 + plain)
  })

  it('is left alone where its listener has options that nobody saw being set', async () => {
    await using shortCut = await ShortCutCgroup.start()
    const args = [script, 'inherited', 'v4']
    const printed = await shortCut.run('python3', args)
    expect(printed).toBe(await run('python3', args))
    const options = [...printed.matchAll(/"option", \d+, true/g)].length
    expect(options).toBe(6)
    // Beside the pair that each case begins with, the client's end of each.
    const { excluded, connections, fallbacks } = await shortCut.nextReading()
    expect(excluded).toEqual({})
    expect(connections).toBe(2 + options)
    expect(fallbacks.excluded).toBe(options)
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

describeWith(['root', 'bpf', 'python3', 'ip'], 'a connection between two network namespaces', () => {
  let pair: VethPair
  let shared: ShortCutCgroup
  let inside: string[]
  const outside = (): string[] => pair.pids.map(String)
  beforeAll(async () => {
    pair = await VethPair.create()
    shared = await ShortCutCgroup.start({ others: 1 })
    const [server = 0, client = 0] = pair.pids
    inside = [`${server}:${shared.others[0]?.path}`, `${client}:${shared.cgroup.path}`]
  })
  afterAll(async () => {
    await shared[Symbol.asyncDispose]()
    await pair[Symbol.asyncDispose]()
  })

  describe.each(families)('%s', (family) => {
    // Addresses are learnt from connections: see docs/sockops.md.
    beforeAll(() => shared.run('python3', [script, 'tiny', family, ...inside]))

    it.each(handedOver)('is the same to both ends: %s', async (name) => {
      const before = await shared.nextReading()
      const args = [script, name, family]
      expect(await shared.run('python3', [...args, ...inside])).toBe(
        await run('python3', [...args, ...outside()]),
      )
      const after = await shared.nextReading()
      expect(after).toMatchObject({ excluded: {}, connections: before.connections + 2 })
      expect(after.messages).toBeGreaterThan(before.messages)
    })
  })
})
