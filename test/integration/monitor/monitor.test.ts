import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { OtlpReceiver } from '../../../lab/otlp-receiver.ts'
import { freePorts } from '../../../lab/ports.ts'
import { Process } from '../../../lab/process.ts'
import { entry } from '../../../lab/program.ts'
import { Pushgateway } from '../../../lab/pushgateway.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { programsOf } from '../../support/bpf-programs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'
import {
  hasBegun,
  monitorEnvironment,
  objectsOf,
  startMonitor,
  totalsOf,
  type Json,
} from '../../support/monitor.ts'
import { runWithSidecar } from '../../support/sidecar-pods.ts'

/** With the capabilities that the exporter's manifest gives, and no more. */
const limited = ['setpriv', '--bounding-set', '-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search']

async function ask(url: string): Promise<void> {
  await (await fetch(url, { headers: { connection: 'close' } })).text()
}

const stageCounts = (samples: readonly MetricSample[]): Record<string, number> =>
  valuesBy(
    samples,
    'podsonar_stack_duration_seconds_count',
    ({ direction, stage }) => `${direction ?? ''} ${stage ?? ''}`,
  )

describeWith(['root', 'containerd', 'bpf', 'pushgateway'], 'podsonar monitor of a pod on containerd', () => {
  it('tells every connection and request, with the way through the sidecar, and the totals at the end', async () => {
    await using containerd = await Containerd.start()
    const pod = await runWithSidecar(containerd)
    for (const port of [8080, 15_006])
      await waitFor('the servers to answer', () => ask(`http://${pod.ip}:${port}/`).then(() => true))
    await using receiver = await OtlpReceiver.start()
    await using gateway = await Pushgateway.start()
    const [port = 0] = await freePorts(1)
    await using watching = await startMonitor(containerd.socket, [
      ...['all', '--pod', 'web-0', '--namespace', 'shop', '--json', '--nodename', 'node-9'],
      ...[
        '--otlp-endpoint',
        receiver.endpoint,
        '--exporter-port',
        String(port),
        '--prometheus',
        gateway.address,
      ],
    ])
    await hasBegun(watching)
    for (let n = 0; n < 5; n += 1) await ask(`http://${pod.ip}:15006/items/${n}`)

    const closed = (leg: string): Json[] =>
      objectsOf(watching).filter((one) => one['event'] === 'closed' && one['leg'] === leg)
    await waitFor('all connections to be told', () => {
      expect(closed('caller to sidecar')).toHaveLength(5)
      expect(closed('sidecar to service')).toHaveLength(10) // both of its ends are in the pod
      return objectsOf(watching).filter(({ type }) => type === 'http').length >= 15
    })
    const [found] = objectsOf(watching)
    expect(found).toMatchObject({
      ...{ type: 'pod', node: 'node-9', name: 'web-0', namespace: 'shop' },
      addresses: [pod.ip, pod.ipv6],
    })
    expect(found?.['containers']).toMatchObject(
      pod.containers
        .toSorted((one, other) => one.name.localeCompare(other.name))
        .map(({ name, pid }) => ({ name, pid, isSidecar: name === 'istio-proxy' })),
    )
    const samples = await scrape(`http://127.0.0.1:${port}`)
    expect(
      valuesBy(samples, 'podsonar_sidecar_processing_duration_seconds_count', ({ pod: name }) => name),
    ).toEqual({
      'web-0': 5,
    })
    expect(
      valuesBy(samples, 'podsonar_sidecar_connect_duration_seconds_count', ({ pod: name }) => name),
    ).toEqual({
      'web-0': 5,
    })
    const stages = stageCounts(samples)
    expect(stages['receive total']).toBeGreaterThanOrEqual(10)
    await waitFor(
      'the spans',
      () => receiver.spans.filter(({ name }) => name === 'TCP caller to sidecar').length === 5,
    )
    const root = receiver.spans.find(({ name }) => name === 'TCP caller to sidecar')
    expect(root).toMatchObject({
      ...{ kind: 'SPAN_KIND_SERVER', parentSpanId: '' },
      resource: { 'service.name': 'web-0-in', 'k8s.namespace.name': 'shop', 'k8s.node.name': 'node-9' },
      attributes: { 'k8s.container.name': 'istio-proxy', 'network.local.port': 15_006 },
    })
    const children = receiver.spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId)
    expect(children.map(({ name }) => name)).toEqual([
      ...['Connection Establishment', 'Data Transfer', 'Connection Termination'],
    ])
    for (const { start, end } of children) expect(end).toBeGreaterThanOrEqual(start)
    await waitFor('the spans of requests', () =>
      receiver.spans.some(({ name }) => name === 'GET /items/{number}'),
    )
    expect(receiver.faults).toEqual([])

    expect(await totalsOf(watching)).toMatchObject({
      type: 'totals',
      connections: { accepted: 10, connected: 5, failed: 0, closed: 15 },
      sidecar: {
        ...{ processingSeconds: { count: 5 }, connectSeconds: { count: 5 } },
        reused: { caller: 0, service: 0 },
      },
      requests: {
        'http served': { total: 10, failed: 0, statuses: { 200: 10 } },
        'http made': { total: 5, paths: { 'GET /items/{number}': { count: 5 } } },
      },
    })
    const pushed = (await scrape(gateway.url)).filter(({ labels }) => labels['job'] === 'podsonar_monitor')
    for (const { labels } of pushed) expect(labels).toMatchObject({ namespace: 'shop', pod: 'web-0' })
    const made = valuesBy(pushed, 'podsonar_monitor_request_duration_seconds_count', ({ kind }) => kind)
    expect(made['http made']).toBe(5)
    expect(stageCounts(pushed)['receive total']).toBeGreaterThanOrEqual(stages['receive total'] ?? Infinity)
    const packets = valuesBy(pushed, 'podsonar_stack_receive_packets_total', (labels) => labels['interface'])
    for (const name of ['eth0', 'lo']) expect(packets[name]).toBeGreaterThan(0)
  })

  it('counts what goes over connections that the sidecar keeps', async () => {
    await using containerd = await Containerd.start()
    const pod = await runWithSidecar(containerd, { name: 'mesh', keep: true })
    await waitFor('the proxy to have its connection', () => ask(`http://${pod.ip}:15006/`).then(() => true))
    await using watching = await startMonitor(
      containerd.socket,
      ['kernel', 'socket', '--pod', 'web-0', '--namespace', 'shop', '--json'],
      { env: { SIDECAR_NAMES: 'mesh' } },
    )
    await hasBegun(watching)
    for (let n = 0; n < 4; n += 1) await ask(`http://${pod.ip}:15006/`)
    const ended = (): number => objectsOf(watching).filter((one) => one['event'] === 'closed').length
    await waitFor('the callers to be gone', () => ended() >= 4)

    const { sidecar } = (await totalsOf(watching)) as { sidecar: { reused: { caller: number } } }
    expect(sidecar.reused.caller).toBeGreaterThanOrEqual(3)
  })

  it('shows a summary on a terminal and prints totals', async () => {
    await using containerd = await Containerd.start()
    const pod = await runWithSidecar(containerd)
    await waitFor('the server to answer', () => ask(`http://${pod.ip}:8080/`).then(() => true))
    const env = { ...monitorEnvironment(containerd.socket), TERM: 'xterm' }
    const command = `stty cols 90 rows 50; exec ${entry} monitor user http --pod-label app=web --namespace shop`
    await using terminal = await Process.start('terminal', 'script', ['-qec', command, '/dev/null'], {
      env,
    })
    await waitFor('the summary', async () => {
      await ask(`http://${pod.ip}:8080/items/1`)
      return /all +\S+ +\d+ +0/.test(terminal.stdout)
    })
    expect(terminal.stdout).toContain('istio-proxy: process')
    // What a Ctrl-C on the terminal sends to the program in it.
    process.kill(
      Number(readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, 'utf8').trim()),
      'SIGINT',
    )
    expect((await terminal.exited).code).toBe(0)

    const totals = terminal.stdout.slice(terminal.stdout.lastIndexOf('totals\x1b[K'))
    expect(totals).toMatch(/HTTP requests served +mean\/s +total/)
    expect(totals).toMatch(/GET \/items\/\{number\}/)
    expect(terminal.stdout.endsWith('\x1b[?25h')).toBe(true)
  })

  it('says what is wrong with what it is asked for', async () => {
    await using containerd = await Containerd.start()
    await runWithSidecar(containerd)
    await containerd.runPod({ name: 'node-agent', namespace: 'shop', hostNetwork: true })
    await containerd.runPod({ name: 'web-1', namespace: 'shop', labels: { app: 'web' } })
    const failed = async (...args: string[]): Promise<string> => {
      await using watching = await startMonitor(containerd.socket, args)
      const { code } = await watching.exited
      expect(watching.stdout).toBe('')
      return `${String(code)} ${watching.stderr}`
    }
    const inShop = ['--namespace', 'shop']

    expect(await failed('all', '--pod', 'nobody', ...inShop)).toMatch(
      /^1 podsonar: Cannot find pod shop\/nobody on this node: there are web-\d, web-\d/,
    )
    expect(await failed('all', '--pod', 'node-agent', ...inShop)).toMatch(/^1 .*uses the network of its node/)
    expect(await failed('all', '--pod-label', 'app=web', ...inShop)).toMatch(
      /^1 .*web-0, web-1 have these labels/,
    )
    expect(await failed('kernel', '--pod', 'web-0')).toMatch(/^2 [^]*expected one of all, kernel all/)
  })

  it("does with the exporter's capabilities, and ends when the pod is gone", async () => {
    await using containerd = await Containerd.start()
    const pod = await runWithSidecar(containerd)
    await using watching = await startMonitor(
      containerd.socket,
      ['kernel', 'all', '--pod', 'web-0', '--namespace', 'shop'],
      { before: limited },
    )
    await waitFor('the monitor to begin', () => watching.stdout.includes('watching'))
    expect(programsOf(watching.pid).length).toBeGreaterThanOrEqual(8)

    await containerd.removePod(pod)

    expect(await watching.exited).toEqual({ code: 0, signal: null })
    expect(watching.stderr).toContain('the pod is gone')
    expect(watching.stdout).toMatch(/\ntotals\n/)
  })
})
