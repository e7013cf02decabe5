import { expect, it } from 'vitest'
import { Containerd } from '../../../lab/containerd.ts'
import { CriReplay, type CriAnswers } from '../../../lab/cri-replay.ts'
import { Docker } from '../../../lab/docker.ts'
import { Process } from '../../../lab/process.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'

const pod = (name: string): Record<string, string> => ({
  'io.kubernetes.pod.name': name,
  'io.kubernetes.pod.namespace': 'lab',
  'io.kubernetes.pod.uid': `uid-${name}`,
})

const listen = (port: number): string[] => ['nc', '-ll', '-p', String(port), '-e', 'cat']

/** The LISTEN series: `pod/container port`. */
function listening(samples: readonly MetricSample[]): string[] {
  const key = ({ status, pod_name, container, remote_port }: Readonly<Record<string, string>>) =>
    status === 'LISTEN' && `${pod_name ?? ''}${container ?? ''}` !== ''
      ? `${pod_name ?? ''}/${container ?? ''} ${remote_port ?? ''}`
      : undefined
  return Object.keys(valuesBy(samples, 'pod_connect_info', key)).sort()
}

async function exporterOn(endpoints: string[], more: Record<string, string> = {}): Promise<Program> {
  return Program.start(['exporter'], { RUNTIME_ENDPOINT: endpoints.join(','), ...more })
}

describeWith(['root', 'docker', 'containerd'], 'the exporter on a real Docker', () => {
  it("sees Kubernetes' containers by their pods and plain ones by their names, and follows a restart", async () => {
    await using docker = await Docker.start()
    await docker.run({
      ...{ name: 'k8s_POD_web', command: listen(8000) },
      labels: { ...pod('web'), 'io.kubernetes.docker.type': 'podsandbox' },
    })
    const main = await docker.run({
      ...{ name: 'k8s_main_web', command: listen(8080) },
      labels: { ...pod('web'), 'io.kubernetes.container.name': 'main' },
    })
    await docker.run({ name: 'cache', command: listen(6379) })
    await docker.run({ name: 'on-host', command: ['sleep', '1000'], network: 'host' })
    await docker.run({ name: 'joined', command: listen(9000), network: `container:${main.id}` })
    await using exporter = await exporterOn([docker.socket], { CONNECTIONS_SOURCE: 'procfs' })
    const url = await exporter.url()
    // `joined` is a plain container in the pod's namespace: whose socket is whose is known by cgroup only.
    const expected = ['/cache 6379', 'web/ 8080', 'web/ 9000']
    await waitFor(
      'the containers to be seen',
      async () => listening(await scrape(url)).join() === expected.join(),
    )
    const up = valuesBy(await scrape(url), 'podsonar_runtime_up', ({ runtime }) => runtime)
    expect(up).toEqual({ docker: 1 })

    await docker.call('POST', `/containers/${main.id}/restart?t=0`)
    await waitFor('all four to be seen again', async () => {
      const containers = valuesBy(await scrape(url), 'podsonar_containers', () => 'all')
      return containers['all'] === 4
    })
  })

  it('is found beside containerd, both at once', async () => {
    await using docker = await Docker.start()
    await using containerd = await Containerd.start()
    await docker.run({ name: 'cache', command: listen(6379) })
    await containerd.runPod({ name: 'web', command: listen(8080) })
    await using exporter = await exporterOn([containerd.socket, docker.socket])
    const url = await exporter.url()
    await waitFor(
      'both to be seen',
      async () => listening(await scrape(url)).join() === '/cache 6379,web/main 8080',
    )
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
  })
})

describeWith(['root'], 'the exporter on runtimes that replay their documented answers', () => {
  /** A process in a network namespace of its own, as the first one of a container. */
  const isolated = (): Promise<Process> => Process.start('container', 'unshare', ['--net', 'sleep', '1000'])

  const sandbox = {
    ...{ id: 'sandbox-1', state: 'SANDBOX_READY', labels: { ...pod('web'), app: 'web' }, annotations: {} },
    metadata: { name: 'web', uid: 'uid-web', namespace: 'lab' },
  }
  const container = {
    ...{ id: 'container-1', podSandboxId: 'sandbox-1', metadata: { name: 'main' } },
    ...{ image: { image: 'quay.io/app:1' }, imageRef: 'sha256:1', state: 'CONTAINER_RUNNING' },
    labels: { ...pod('web'), 'io.kubernetes.container.name': 'main' },
  }

  const answers = (name: string, version: string, info: Record<string, string>): CriAnswers => ({
    Version: { runtimeName: name, runtimeVersion: version, runtimeApiVersion: 'v1' },
    ListPodSandbox: { items: [sandbox] },
    ListContainers: { containers: [container] },
    ContainerStatus: ({ containerId }) =>
      containerId === 'container-1' ? { status: { id: 'container-1' }, info } : undefined,
  })

  const seesThePod = async (exporter: Program): Promise<void> => {
    const url = await exporter.url()
    const total = async (): Promise<Record<string, number>> =>
      valuesBy(await scrape(url), 'container_sockstat_total', ({ pod: name }) => name || undefined)
    await waitFor('the pod to be seen', async () => 'web' in (await total()))
  }

  it('CRI-O, whose pods have no pause process, with JSON info', async () => {
    await using held = await isolated()
    const info = { sandboxID: 'sandbox-1', pid: held.pid, runtimeSpec: {}, privileged: false }
    await using crio = await CriReplay.start(answers('cri-o', '1.30.4', { info: JSON.stringify(info) }))
    // Without those that look for containers by themselves.
    await using exporter = await exporterOn([crio.socket], { COLLECTORS: 'connections,tcp,udp,sockstat' })
    await seesThePod(exporter)
    const asked = crio.calls.length
    await scrape(await exporter.url())
    expect(crio.calls.slice(asked)).toEqual(['ListContainers'])
  })

  it('CRI-O before 1.18, with plain info', async () => {
    await using held = await isolated()
    const plain = { pid: String(held.pid), sandboxId: 'sandbox-1' }
    await using crio = await CriReplay.start(answers('cri-o', '1.17.5', plain))
    await using exporter = await exporterOn([crio.socket])
    await seesThePod(exporter)
  })

  it('cri-dockerd, whose info has only the pid and the sandbox', async () => {
    await using held = await isolated()
    const info = { info: JSON.stringify({ sandboxID: 'sandbox-1', pid: held.pid }) }
    await using dockerd = await CriReplay.start(answers('docker', '0.3.14', info))
    await using exporter = await exporterOn([dockerd.socket], { RUNTIME: 'cri-dockerd' })
    await seesThePod(exporter)
  })

  it('one whose container ended between list and look: skipped, counted, and the scrape is whole', async () => {
    await using held = await isolated()
    const info = { info: JSON.stringify({ pid: held.pid }) }
    const gone = { ...container, id: 'container-2', metadata: { name: 'gone' } }
    const dead = { ...container, id: 'container-3', metadata: { name: 'dead' } }
    await using runtime = await CriReplay.start({
      ...answers('cri-o', '1.30.4', info),
      ListContainers: { containers: [container, gone, dead] },
      ContainerStatus: ({ containerId }) => {
        if (containerId === 'container-1') return { status: { id: 'container-1' }, info }
        // 2 is not known any more; 3 has a process id that is not in use.
        return containerId === 'container-2' ? undefined : { info: { info: '{"pid":4194303}' } }
      },
    })
    await using exporter = await exporterOn([runtime.socket])
    await seesThePod(exporter)
    const samples = await scrape(await exporter.url())
    const skipped = valuesBy(samples, 'podsonar_skipped_total', ({ kind, reason }) =>
      kind === 'container' ? reason : undefined,
    )
    expect(Object.keys(skipped)).toEqual(['process_gone'])
    expect(skipped['process_gone']).toBeGreaterThanOrEqual(2)
    const success = valuesBy(samples, 'podsonar_collector_success', ({ collector }) => collector)
    expect(Object.values(success)).not.toContain(0)
  })

  it('one that does not serve CRI v1: not ready, and it says why', async () => {
    await using old = await CriReplay.start({})
    await using exporter = await exporterOn([old.socket], { RUNTIME: 'containerd' })
    const url = await exporter.url()
    const reasons = await waitFor('a reason', async () => {
      const body = (await (await fetch(`${url}/readyz`)).json()) as { reasons: Record<string, string> }
      return body.reasons['runtime']?.includes('expected') ? body.reasons : undefined
    })
    expect(reasons['runtime']).toMatch(/does not implement.*expected a runtime that serves CRI v1/i)
  })
})
