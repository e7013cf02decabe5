import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { Docker, type DockerContainer } from '../../../lab/docker.ts'
import { run } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { hasBegun, objectsOf, startMonitor, totalsOf } from '../../support/monitor.ts'

const server = fileURLToPath(new URL('../../support/node-http-server.ts', import.meta.url))
const labels = {
  'io.kubernetes.pod.name': 'web-0',
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.pod.uid': 'uid-web',
}

/** A pod as the kubelet makes it on Docker: a container that holds the network, and one that serves in it. */
async function runWeb(docker: Docker): Promise<DockerContainer> {
  const sandbox = await docker.run({
    ...{ name: 'k8s_POD_web-0', command: ['sleep', '1000'] },
    labels: { ...labels, 'io.kubernetes.docker.type': 'podsandbox' },
  })
  return docker.run({
    ...{ name: 'k8s_web_web-0', command: ['/node', '/server.ts', '127.0.0.1', '8080'] },
    network: `container:${sandbox.id}`,
    mounts: { '/usr': '/usr', '/node': process.execPath, '/server.ts': server },
    labels: {
      ...{ ...labels, 'io.kubernetes.container.name': 'web', 'io.kubernetes.sandbox.id': sandbox.id },
      'io.kubernetes.docker.type': 'container',
    },
  })
}

/** Asks from within the pod's network: Docker's "none" has no cable to the node. */
async function ask(pid: number, path: string): Promise<void> {
  const script = `await (await fetch('http://127.0.0.1:8080${path}', { headers: { connection: 'close' } })).text()`
  await run('nsenter', [
    ...['--target', String(pid), '--net', process.execPath],
    ...['--input-type=module', '--eval', script],
  ])
}

describeWith(['root', 'docker', 'bpf'], 'podsonar monitor of a pod on a real Docker', () => {
  it('says what it found, and tells connections, packets and requests', async () => {
    await using docker = await Docker.start()
    const { pid } = await runWeb(docker)
    await waitFor('the server to answer', () => ask(pid, '/').then(() => true))
    const found = ['--namespace', 'shop', '--pod', 'web-0', '--json']
    await using watching = await startMonitor(docker.socket, ['all', ...found])
    await hasBegun(watching)
    for (let n = 0; n < 3; n += 1) await ask(pid, `/items/${n}`)
    await waitFor('the requests to be told', () => {
      const told = objectsOf(watching)
      return (
        told.filter(({ type }) => type === 'http').length >= 3 &&
        told.filter(({ event }) => event === 'closed').length >= 6
      )
    })

    expect(objectsOf(watching)[0]).toMatchObject({
      ...{ type: 'pod', namespace: 'shop', name: 'web-0', uid: 'uid-web' },
      runtime: expect.stringMatching(/^docker \d/) as unknown,
      containers: [{ name: 'web', pid, isSidecar: false }],
    })
    expect(await totalsOf(watching)).toMatchObject({
      connections: { accepted: 3, connected: 3, closed: 6 },
      requests: { 'http served': { total: 3, paths: { 'GET /items/{number}': { count: 3 } } } },
      stack: { interfaces: [{ name: 'lo' }] },
    })
  })
})
