import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Containerd, type ContainerSpec } from '../../../lab/containerd.ts'
import { libbpfFile } from '../../../lab/needs.ts'
import { OtlpReceiver } from '../../../lab/otlp-receiver.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { missedOnTheNode, programsOf } from '../../support/bpf-programs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'

const server = fileURLToPath(new URL('../../support/node-http-server.ts', import.meta.url))
const web: ContainerSpec = {
  name: 'web',
  command: ['/node', '/server.ts', '0.0.0.0', '8080'],
  mounts: { '/usr': '/usr', '/node': process.execPath, '/server.ts': server },
}

/** Requests served, as `namespace/pod/container method route status`. */
function served(samples: readonly MetricSample[]): Record<string, number> {
  return valuesBy(samples, 'http_server_request_duration_seconds_count', (labels) => {
    expect(labels['source']).toBe('podsonar')
    const label = (name: string): string => labels[name] ?? ''
    const owner = `${label('namespace')}/${label('pod')}/${label('container')}`
    return `${owner} ${label('http_request_method')} ${label('http_route')} ${label('http_response_status_code')}`
  })
}

describeWith(['root', 'containerd', 'bpf'], 'requests of pods on a real containerd', () => {
  it('are watched where annotation, namespace and labels say so, from the start of a pod to its end', async () => {
    await using containerd = await Containerd.start()
    const annotated = await containerd.runPod({
      ...{ name: 'annotated', namespace: 'lab', containers: [web] },
      annotations: { 'podsonar.io/observe': 'true' },
    })
    await using receiver = await OtlpReceiver.start()
    const plain = await containerd.runPod({ name: 'plain', namespace: 'lab', containers: [web] })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), LOG_LEVEL: 'info' },
      ...{ OBSERVE_NAMESPACES: 'shop', OBSERVE_SELECTOR: 'tier in (web),!batch', COLLECTORS: 'http,grpc' },
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    })
    const url = await exporter.url()
    const ask = async (ip: string, path: string): Promise<void> => {
      await waitFor(`${ip} to answer`, async () => (await fetch(`http://${ip}:8080${path}`)).text())
    }
    expect(await exporter.logged('requests_watched')).toMatchObject({
      ...{ level: 'info', hooks: 'socket' },
      msg: 'Requests of chosen pods are watched, at tracepoints of sockets',
    })
    const inShop = await containerd.runPod({
      ...{ name: 'shop', namespace: 'shop', labels: { tier: 'web' }, containers: [web] },
    })
    const keptOut = await containerd.runPod({
      ...{ name: 'kept-out', namespace: 'shop', labels: { tier: 'web' }, containers: [web] },
      annotations: { 'podsonar.io/observe': 'false' },
    })
    // A pod is seen two seconds after its start at the latest.
    await waitFor('the pod to be watched', async () => {
      await ask(inShop.ip, '/warm')
      return Object.keys(served(await scrape(url))).some((key) => key.startsWith('shop/shop/'))
    })
    for (const pod of [annotated, plain, inShop, keptOut])
      for (const path of ['/items/1', '/items/2', '/other?secret=1']) await ask(pod.ip, path)

    await waitFor('all of it to be counted', async () => {
      const counts = served(await scrape(url))
      expect(counts).toMatchObject({
        'lab/annotated/web GET /items/{number} 200': 2,
        'lab/annotated/web GET /other 200': 1,
        'shop/shop/web GET /items/{number} 200': 2,
        'shop/shop/web GET /other 200': 1,
      })
      expect(Object.keys(counts).filter((key) => /plain|kept-out|secret/.test(key))).toEqual([])
      return true
    })
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const traceparent = `00-${traceId}-b7ad6b7169203331-01`
    await (await fetch(`http://${annotated.ip}:8080/traced`, { headers: { traceparent } })).text()
    const span = await waitFor('the span', () => receiver.spans.find((one) => one.traceId === traceId))
    expect(span).toMatchObject({
      ...{ name: 'GET /traced', kind: 'SPAN_KIND_SERVER', parentSpanId: 'b7ad6b7169203331' },
      resource: { 'service.name': 'annotated', 'k8s.namespace.name': 'lab', 'k8s.container.name': 'web' },
    })
    expect(receiver.spans.filter(({ name }) => name === 'GET /items/{number}').length).toBe(4)
    expect(receiver.faults).toEqual([])
    const open = await fetch(`${url}/metrics`, { headers: { accept: 'application/openmetrics-text' } })
    expect(await open.text()).toMatch(
      /_bucket\{[^}]*http_route="\/traced"[^}]*\} 1 # \{trace_id="0af7651916cd43dd8448eb211c80319c",span_id="b7ad6b7169203331"\} 0\.\d+ \d+\.\d+\n/,
    )
    const [first] = annotated.containers
    if (first === undefined) throw new Error('no container')
    await containerd.removeContainer(first)
    await containerd.addContainer(annotated, web)
    await waitFor('its successor to add to the counts', async () => {
      await ask(annotated.ip, '/items/3')
      return (served(await scrape(url))['lab/annotated/web GET /items/{number} 200'] ?? 0) > 2
    })
    const success = valuesBy(await scrape(url), 'podsonar_collector_success', ({ collector }) => collector)
    expect(success).toEqual({ http: 1, grpc: 1 })
    const { lost } = valuesBy(await scrape(url), 'podsonar_requests_lost_events_total', () => 'lost')
    expect(lost).toBeLessThan(missedOnTheNode)
  })

  it('say in the log that they are seen at system calls, where they are', async () => {
    await using containerd = await Containerd.start()
    await containerd.runPod({ name: 'web', namespace: 'lab', containers: [web] })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), LOG_LEVEL: 'info' },
      ...{ COLLECTORS: 'http', OBSERVE_NAMESPACES: '*', OBSERVE_HOOKS: 'syscall' },
    })

    expect(await exporter.logged('requests_watched')).toMatchObject({
      ...{ level: 'info', hooks: 'syscall' },
      msg: 'Requests of chosen pods are watched, at the exit of every system call of the node',
    })
    expect(exporter.log.filter(({ event }) => event === 'requests_watched')).toHaveLength(1)
  })

  it('attach nothing while no pod is chosen', async () => {
    await using containerd = await Containerd.start()
    await containerd.runPod({ name: 'plain', namespace: 'lab', containers: [web] })
    await using exporter = await Program.start(['exporter'], {
      ...{ RUNTIME_ENDPOINT: containerd.socket, LIBBPF_PATH: libbpfFile(), COLLECTORS: 'http,grpc' },
    })
    const url = await exporter.url()
    await waitFor('the container to be seen', async () =>
      (await scrape(url)).some(({ name, value }) => name === 'podsonar_containers' && value === 1),
    )

    expect(programsOf(exporter.process.pid)).toEqual([])
    expect((await scrape(url)).filter(({ name }) => /^(http|rpc)_|podsonar_requests/.test(name))).toEqual([])
  })
})
