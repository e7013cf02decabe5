import { existsSync } from 'node:fs'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Containerd, type LabPod } from '../../../lab/containerd.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { sendDatagrams } from '../../../lab/traffic.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { captureToken, CapturingExporter } from '../../support/capture.ts'
import { scrape, valuesBy } from '../../support/exposition.ts'

const namespace = 'lab'
const ofWeb = { namespace, pod: 'web', filter: 'udp' }

describeWith(['root', 'containerd', 'tcpdump', 'tshark'], 'GET /api/v1/capture', () => {
  let containerd: Containerd
  let web: LabPod
  let client: LabPod

  beforeAll(async () => {
    containerd = await Containerd.start()
    web = await containerd.runPod({ name: 'web', namespace })
    client = await containerd.runPod({ name: 'client', namespace })
  }, 120_000)
  afterAll(async () => {
    await containerd[Symbol.asyncDispose]()
  }, 60_000)

  const send = (to: LabPod, count: number): Promise<void> =>
    sendDatagrams(client.containers[0]?.pid ?? Number.NaN, { host: to.ip, port: 9_999, size: 50, count })

  /** No tcpdump and no namespace handle is left. */
  const nothingLeft = (exporter: CapturingExporter): Promise<unknown> =>
    waitFor(
      'nothing to be left',
      () => exporter.children.length === 0 && exporter.openNamespaces.length === 0,
    )

  it('is not there unless it is asked for, and never without an answer to who may', async () => {
    await using off = await CapturingExporter.start(containerd.socket, { CAPTURE: 'false' })
    expect((await off.ask(ofWeb)).status).toBe(404)
    await using open = await Program.start(['exporter'], { CAPTURE: 'true' })
    expect((await open.process.exited).code).toBe(2)
    expect(open.process.stderr).toContain('without one of them everybody could capture')
  })

  it('asks for the token, and writes down who captured what', async () => {
    await using exporter = await CapturingExporter.start(containerd.socket)
    for (const token of [null, 'wrong', `${captureToken}x`, captureToken.slice(1)]) {
      const refused = await exporter.ask(ofWeb, token)
      expect([refused.status, (await refused.refusal()).error]).toEqual([401, 'unauthorized'])
      expect(refused.response.headers['www-authenticate']).toMatch(/^Bearer/)
    }
    const capture = await exporter.ask({ ...ofWeb, seconds: 1 })
    expect(await capture.end()).toBe('seconds')
    const { log } = exporter.program
    expect(log.filter(({ event }) => event === 'capture_refused')).toHaveLength(4)
    expect(log.find(({ event }) => event === 'capture_started')).toMatchObject({
      ...{
        user: 'holder of CAPTURE_TOKEN_FILE',
        namespace,
        pod: 'web',
        filter: 'udp',
        seconds: 1,
        interface: 'any',
      },
      client: expect.stringContaining('127.0.0.1') as unknown,
    })
    expect(log.find(({ event }) => event === 'capture_ended')).toMatchObject({
      reason: 'seconds',
      packets: 0,
    })
    expect(JSON.stringify(log)).not.toContain(captureToken)
    // The token may change while it runs.
    await writeFile(join(exporter.folder, 'token'), 'another-token-of-some-length')
    await waitFor('the new token to be known', async () => {
      const later = await exporter.ask({ ...ofWeb, seconds: 1 }, 'another-token-of-some-length')
      later.response.destroy()
      return later.status === 200
    })
  })

  it("follows the API server's word with CAPTURE_AUTH=kubernetes: users by their tokens, pods by their rights", async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    const { users, grants } = kubernetes.api.reviews
    users.set('token-of-ann', 'ann').set('token-of-bob', 'bob')
    grants.add('ann create pods/portforward lab').add('bob create pods/portforward other')
    await using folder = await TemporaryFolder.create('home')
    const home = folder.path
    await mkdir(join(home, '.kube'), { recursive: true })
    await copyFile(await kubernetes.kubeconfig(), join(home, '.kube/config'))
    await using asking = await CapturingExporter.start(containerd.socket, {
      CAPTURE_AUTH: 'kubernetes',
      HOME: home,
    })
    const outcome = async (token: string): Promise<unknown> => {
      const answer = await asking.ask({ ...ofWeb, seconds: 1 }, token)
      return answer.status === 200 ? answer.end() : [answer.status, (await answer.refusal()).error]
    }
    expect(await outcome('token-of-ann')).toBe('seconds')
    expect(await outcome('token-of-bob')).toEqual([403, 'forbidden'])
    expect(await outcome('token-of-nobody')).toEqual([401, 'unauthorized'])
    // The token file counts for nothing here.
    expect(await outcome(captureToken)).toEqual([401, 'unauthorized'])
    expect(asking.program.log.find(({ event }) => event === 'capture_started')).toMatchObject({ user: 'ann' })
    await kubernetes[Symbol.asyncDispose]()
    expect(await outcome('token-of-ann')).toEqual([503, 'api_unreachable'])
  })

  it.each([
    ['filter', 'tcp prot 80', 400, 'bad_filter', "can't parse filter expression: syntax error"],
    ['filter', '-w /tmp/podsonar-injected', 400, 'bad_filter', 'syntax error'],
    ['filter', '-z reboot', 400, 'bad_filter', 'syntax error'],
    ['filter', '$(touch /tmp/podsonar-injected)', 400, 'bad_filter', 'tcpdump says'],
    ['filter', '`touch /tmp/podsonar-injected`', 400, 'bad_filter', 'tcpdump says'],
    ['filter', 'udp; touch /tmp/podsonar-injected', 400, 'bad_filter', 'tcpdump says'],
    ['filter', 'udp\nport 1', 400, 'bad_parameter', 'control characters'],
    ['filter', 'x'.repeat(3_000), 400, 'bad_parameter', 'at most 2000'],
    ['pod', '../../etc', 400, 'bad_parameter', 'pod'],
    ['pod', 'web --all', 400, 'bad_parameter', 'pod'],
    ['namespace', '$(id)', 400, 'bad_parameter', 'namespace'],
    ['interface', 'eth0 -w /tmp/podsonar-injected', 400, 'bad_parameter', 'any, veth, eth0'],
    ['seconds', '1; reboot', 400, 'bad_parameter', '1 to 300'],
    ['seconds', '301', 400, 'bad_parameter', '1 to 300'],
    ['bytes', '-1', 400, 'bad_parameter', 'bytes'],
    ['snaplen', '0x40', 400, 'bad_parameter', '64 to 262144'],
    ['w', '/tmp/podsonar-injected', 400, 'bad_parameter', 'no such parameter'],
  ])(
    'lets nothing pass that is not what it should be: %s=%j',
    async (parameter, value, status, error, said) => {
      await using exporter = await CapturingExporter.start(containerd.socket)
      const refused = await exporter.ask({ ...ofWeb, [parameter]: value })
      expect(await refused.refusal()).toMatchObject({
        error,
        message: expect.stringContaining(said) as unknown,
      })
      expect(refused.status).toBe(status)
      expect(existsSync('/tmp/podsonar-injected')).toBe(false)
      await nothingLeft(exporter)
    },
  )

  it('ends at its limits: seconds, bytes at a whole packet, and captures at a time', async () => {
    await using exporter = await CapturingExporter.start(containerd.socket, { CAPTURE_MAX_CONCURRENT: '2' })
    const small = await exporter.ask({ ...ofWeb, bytes: 500 })
    const long = await exporter.ask({ ...ofWeb, seconds: 120 })
    const third = await exporter.ask(ofWeb)
    expect([third.status, (await third.refusal()).error]).toEqual([429, 'too_many_captures'])
    expect(third.response.headers['retry-after']).toBe('10')
    await send(web, 10)
    expect(await small.end()).toBe('bytes')
    // 24 for the file, 16 and 20 + 28 + 50 for each packet.
    expect(await small.read(['frame.cap_len'])).toEqual(
      Array.from({ length: 4 }, () => ({ 'frame.cap_len': '98' })),
    )
    // Both captured the same pod, and the other one goes on.
    await long.has(10)
    const fourth = await exporter.ask({ ...ofWeb, seconds: 1 })
    expect(await fourth.end()).toBe('seconds')
    long.response.destroy()
    await nothingLeft(exporter)
    const captures = valuesBy(await scrape(exporter.url), 'podsonar_captures_total', ({ outcome }) => outcome)
    expect(captures).toEqual({ bytes: 1, seconds: 1, client_gone: 1, too_many_captures: 1 })
  })

  it('ends when its pod dies, when its client goes, and when the exporter stops, and leaves nothing', async () => {
    await using exporter = await CapturingExporter.start(containerd.socket)
    const mortal = await containerd.runPod({ name: 'mortal', namespace })
    const ofMortal = await exporter.ask({ ...ofWeb, pod: 'mortal' })
    await send(mortal, 5)
    await ofMortal.has(5)
    await containerd.removePod(mortal)
    expect(await ofMortal.end()).toBe('pod_gone')
    expect(await ofMortal.read(['udp.dstport'])).toHaveLength(5)

    const left = await exporter.ask(ofWeb)
    await send(web, 3)
    await left.has(3)
    left.response.destroy()
    await nothingLeft(exporter)
    expect(await left.read(['udp.dstport'])).toHaveLength(3)

    const last = await exporter.ask(ofWeb)
    await send(web, 7)
    await last.has(7)
    const { children } = exporter
    expect(children).toHaveLength(1)
    await exporter.program[Symbol.asyncDispose]()
    expect(await last.end()).toBe('stopped')
    expect(await last.read(['udp.dstport'])).toHaveLength(7)
    expect(children.map((pid) => existsSync(`/proc/${pid}`))).toEqual([false])
  })

  it('takes its tcpdump with it when it is killed', async () => {
    await using exporter = await CapturingExporter.start(containerd.socket)
    const capture = await exporter.ask(ofWeb)
    expect(capture.status).toBe(200)
    const { children } = exporter
    expect(children).toHaveLength(1)
    exporter.program.process.kill('SIGKILL')
    await waitFor('tcpdump to end', () => children.every((pid) => !existsSync(`/proc/${pid}`)))
  })

  it('goes on for a container that restarts, and does not wait for a client that is slow', async () => {
    await using exporter = await CapturingExporter.start(containerd.socket)
    const slow = await exporter.ask({ ...ofWeb, seconds: 3 })
    slow.response.pause()
    const capture = await exporter.ask(ofWeb)
    const [main] = web.containers
    if (main === undefined) throw new Error('no container')
    await containerd.removeContainer(main)
    await containerd.addContainer(web, { name: 'main' })
    await send(web, 4)
    await capture.has(4)
    capture.response.destroy()
    await nothingLeft(exporter)
    slow.response.resume()
    expect(await slow.end()).toBe('seconds')
  })
})
