import { statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { unpackedEnvironment } from '../../../lab/needs.ts'
import { Process } from '../../../lab/process.ts'
import { entry } from '../../../lab/program.ts'
import { sendDatagrams } from '../../../lab/traffic.ts'
import { readPackets } from '../../../lab/tshark.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { capturesOf, CapturingExporter } from '../../support/capture.ts'

const namespace = 'lab'

describeWith(['root', 'containerd', 'tcpdump', 'tshark'], 'podsonar capture', () => {
  let containerd: Containerd
  let folder: TemporaryFolder
  let web: LabPod
  let api: LabPod
  let client: LabPod

  beforeAll(async () => {
    containerd = await Containerd.start()
    folder = await TemporaryFolder.create('capture')
    web = await containerd.runPod({ name: 'web', namespace, labels: { app: 'shop', part: 'web' } })
    api = await containerd.runPod({ name: 'api', namespace, labels: { app: 'shop', part: 'api' } })
    client = await containerd.runPod({ name: 'client', namespace })
  }, 120_000)
  afterAll(async () => {
    await folder[Symbol.asyncDispose]()
    await containerd[Symbol.asyncDispose]()
  }, 60_000)

  const send = (to: LabPod, count: number): Promise<void> =>
    sendDatagrams(client.containers[0]?.pid ?? Number.NaN, { host: to.ip, port: 9_999, size: 50, count })

  const start = (args: readonly string[]): Promise<Process> => {
    const { PATH: _path, ...env } = process.env
    return Process.start('podsonar capture', entry, ['capture', ...args], {
      env: { ...env, RUNTIME_ENDPOINT: containerd.socket, ...unpackedEnvironment('tcpdump') },
    })
  }

  /** Starts it, and waits until it captures. */
  const capturing = async (...args: readonly string[]): Promise<Process> => {
    const started = await start(args)
    await waitFor('it to capture', () => {
      if (!started.running) throw new Error(started.stderr)
      return started.stderr.includes('capturing')
    })
    // Said before tcpdump has begun: its own children tell when.
    await waitFor('tcpdump to listen', () => capturesOf(started.pid))
    return started
  }

  const interrupted = async (started: Process): Promise<string> => {
    started.kill('SIGINT')
    expect(await started.exited).toEqual({ code: 0, signal: null })
    return started.stderr
  }

  it('prints lines as tcpdump does, and says on stderr how much there was', async () => {
    const capture = await capturing('-n', namespace, 'web', 'udp', 'dst', 'port', '9999')
    await send(web, 3)
    await waitFor('three lines', () => capture.stdout.split('\n').length > 3)
    expect(await interrupted(capture)).toMatch(
      /lab\/web: 3 packets, 0\.000 MB, 0 dropped by the kernel in .* s: stopped/,
    )
    const line = new RegExp(`^[\\d:.]+ In +IP ${client.ip}\\.45678 > ${web.ip}\\.9999: UDP, length 50$`)
    for (const one of capture.stdout.trim().split('\n')) expect(one).toMatch(line)
  })

  it('has tcpdump write the file, ends it in time or when it is large enough, for nobody else to read', async () => {
    const file = join(folder.path, 'web.pcap')
    const capture = await capturing('-n', namespace, 'web', 'udp', '-w', file, '--bytes', '500')
    await send(web, 20)
    expect(await capture.exited).toEqual({ code: 0, signal: null })
    expect(capture.stderr).toContain('lab/web: 4 packets')
    expect(capture.stderr).toContain('it was as large as it may get')
    expect(await readPackets(file, ['udp.dstport'])).toHaveLength(4)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const timed = await start(['-n', namespace, 'web', '--seconds', '1', '-w', file])
    expect(await timed.exited).toEqual({ code: 0, signal: null })
    expect(timed.stderr).toContain('its time was over')
  })

  it('pipes a pcap to whoever reads it, and ends with them', async () => {
    const file = join(folder.path, 'piped.pcap')
    const reader = await Process.start(
      'reader',
      'sh',
      [...['-c', '"$0" capture -n lab web udp -w - | head -c 512 > "$1"', entry, file]],
      { env: { ...process.env, RUNTIME_ENDPOINT: containerd.socket, ...unpackedEnvironment('tcpdump') } },
    )
    await waitFor('it to capture', () => reader.stderr.includes('capturing'))
    await waitFor('it to have ended', async () => {
      await send(web, 10)
      return !reader.running
    })
    expect(statSync(file).size).toBe(512)
    expect((await reader.exited).code).toBe(0)
  })

  it('merges pods by their labels into one pcapng, each packet under the name of its pod', async () => {
    const file = join(folder.path, 'shop.pcapng')
    const capture = await capturing('-n', namespace, '-l', 'app=shop,part in (web,api)', 'udp', '-w', file)
    await send(web, 3)
    await send(api, 2)
    await waitFor('five packets', async () => {
      const read = await readPackets(file, ['frame.number']).catch(() => [])
      return read.length === 5
    })
    await interrupted(capture)
    const packets = await readPackets(file, ['frame.interface_name', 'ip.dst'])
    const count = (label: string, ip: string): number =>
      packets.filter((one) => one['frame.interface_name'] === label && one['ip.dst'] === ip).length
    expect([count('lab/web', web.ip), count('lab/api', api.ip), packets.length]).toEqual([3, 2, 5])
  })

  it('captures the network of a process, and all containers of the node', async () => {
    const byPid = await capturing('--pid', String(web.containers[0]?.pid), 'udp')
    const all = await capturing('--all-containers', '-n', namespace, 'udp')
    await send(web, 2)
    await waitFor(
      'lines of both',
      () => byPid.stdout.split('\n').length > 2 && all.stdout.split('\n').length > 4,
    )
    await interrupted(byPid)
    await interrupted(all)
    // The client sends what the other one gets.
    expect(all.stdout.match(/^lab\/web: .* In /gm)).toHaveLength(2)
    expect(all.stdout.match(/^lab\/client: .* Out /gm)).toHaveLength(2)
  })

  it.each([
    [['web', '--seconds', 'soon'], 2, '--seconds: value was "soon"'],
    [
      ['-n', namespace, 'web', 'tcp', 'prot', '80'],
      1,
      "tcpdump says: can't parse filter expression: syntax error",
    ],
    [['-n', namespace, 'nobody'], 1, 'it does not run on this node'],
    [['--pid', '4194304'], 1, 'there is no process 4194304'],
    [['-n', namespace, '-l', 'app=none'], 1, 'none that runs on this node has these labels'],
  ])('says what is wrong with %j', async (args, code, said) => {
    const ended = await start(args)
    expect(await ended.exited).toEqual({ code, signal: null })
    expect(ended.stderr).toContain(said)
  })

  it('asks an exporter over TLS, which sends nothing in the clear to others than its own machine', async () => {
    await using authority = await CertificateAuthority.create()
    const own = await authority.issue({ commonName: 'node', ips: [containerd.bridge.address] })
    const webConfig = join(folder.path, 'web.yml')
    await writeFile(
      webConfig,
      JSON.stringify({
        tls_server_config: { cert_file: own.certificateFile, key_file: own.keyFile },
        basic_auth_users: { scraper: hashSync('right', 4) },
      }),
    )
    await using plain = await CapturingExporter.start(containerd.socket)
    await using secure = await CapturingExporter.start(containerd.socket, { WEB_CONFIG_FILE: webConfig })
    const at = (exporter: CapturingExporter, scheme: string): string =>
      `${scheme}://${containerd.bridge.address}:${new URL(exporter.url).port}`
    const token = ['--token-file', join(plain.folder, 'token')]

    const refused = await start(['-n', namespace, 'web', ...token, '--exporter', at(plain, 'http')])
    expect((await refused.exited).code).toBe(1)
    expect(refused.stderr).toContain('A capture is not sent in the clear')

    const file = join(folder.path, 'remote.pcap')
    const trust = ['--ca-file', authority.certificateFile]
    const remote = await start([
      ...['-n', namespace, 'web', 'udp', '-w', file, ...token, ...trust, '--exporter', at(secure, 'https')],
    ])
    await secure.program.logged('capture_started')
    await send(web, 6)
    await waitFor(
      'six packets',
      async () => (await readPackets(file, ['frame.number']).catch(() => [])).length === 6,
    )
    expect(await interrupted(remote)).toContain('lab/web: 6 packets')

    const unknown = await start(['-n', namespace, 'web', ...token, '--exporter', at(secure, 'https')])
    expect((await unknown.exited).code).toBe(1)
    expect(unknown.stderr).toMatch(/certificate/)
  })
})
