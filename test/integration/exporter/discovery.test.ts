import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { CriReplay } from '../../../lab/cri-replay.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { startInPodRoot } from '../../../lab/pod-root.ts'
import { Program } from '../../../lab/program.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy, type MetricSample } from '../../support/exposition.ts'

function runtimesUp(samples: readonly MetricSample[]): Record<string, number> {
  return valuesBy(
    samples,
    'podsonar_runtime_up',
    ({ endpoint, version }) => `${endpoint ?? ''} ${version ?? ''}`,
  )
}

/** A runtime without containers. */
function empty(name: string, version: string): Record<string, object> {
  return {
    Version: { runtimeName: name, runtimeVersion: version, runtimeApiVersion: 'v1' },
    ListContainers: { containers: [] },
    ListPodSandbox: { items: [] },
  }
}

/** A Docker without containers. */
async function emptyDocker(socket: string): Promise<AsyncDisposable> {
  const server = createServer(({ url }, response) => {
    response.end(JSON.stringify(url === '/version' ? { ApiVersion: '1.47', Version: '27.3' } : []))
  })
  server.listen(socket)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Where runtimes listen, by what they are, and their versions. */
const sockets = {
  '/run/containerd/containerd.sock': ['containerd', '2.0.0'],
  '/run/k3s/containerd/containerd.sock': ['containerd', '2.0.0-k3s1'],
  '/run/k0s/containerd.sock': ['containerd', '1.7.0-k0s'],
  '/var/snap/microk8s/common/run/containerd.sock': ['containerd', '1.6.0-snap'],
  '/run/crio/crio.sock': ['cri-o', '1.30.4'],
  '/run/cri-dockerd.sock': ['docker', '0.3.14'],
} as const

describeWith(['root'], 'RUNTIME', () => {
  it.each([
    ['on the node itself', ''],
    ['in a pod that has its node’s folders below /host', '/host'],
  ])('auto finds every runtime at its usual socket, all at once, %s', async (_where, prefix) => {
    await using owned = new AsyncDisposableStack()
    const { path: folder } = owned.use(await TemporaryFolder.create('usual'))
    for (const [path, [name, version]] of Object.entries(sockets)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      owned.use(await CriReplay.start(empty(name, version), join(folder, path)))
    }
    owned.use(await emptyDocker(join(folder, 'run/docker.sock')))
    const folders = { [`${prefix}/run`]: join(folder, 'run'), [`${prefix}/var`]: join(folder, 'var') }

    const auto = owned.use(await startInPodRoot(folders, { COLLECTORS: 'sockstat' }))
    const all = {
      ...Object.fromEntries(
        Object.entries(sockets).map(([path, [, version]]) => [`unix://${prefix}${path} ${version}`, 1]),
      ),
      [`unix://${prefix}/run/docker.sock 27.3`]: 1,
    }
    await waitFor('all runtimes to be found', async () => {
      expect(runtimesUp(await scrape(await auto.url()))).toEqual(all)
      return true
    })

    const settings = { COLLECTORS: 'sockstat', RUNTIME: 'cri-o' }
    const chosen = owned.use(await startInPodRoot(folders, settings))
    await waitFor('CRI-O alone to be found', async () => {
      const one = { [`unix://${prefix}/run/crio/crio.sock 1.30.4`]: 1 }
      expect(runtimesUp(await scrape(await chosen.url()))).toEqual(one)
      return true
    })
  })

  it('that is upgraded while its socket stays is used on, under its new version', async () => {
    await using folder = await TemporaryFolder.create('upgraded')
    const socket = join(folder.path, 'containerd.sock')
    const old = await CriReplay.start(empty('containerd', '1.7.27'), socket)
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: `unix://${socket}`,
      COLLECTORS: 'sockstat',
    })
    const url = await exporter.url()
    const becomes = (expected: Record<string, number>): Promise<boolean> =>
      waitFor(JSON.stringify(expected), async () => {
        expect(runtimesUp(await scrape(url))).toEqual(expected)
        return true
      })
    await becomes({ [`unix://${socket} 1.7.27`]: 1 })
    await old[Symbol.asyncDispose]()
    await becomes({ [`unix://${socket} 1.7.27`]: 0 })
    await using _upgraded = await CriReplay.start(empty('containerd', '2.1.0'), socket)
    await becomes({ [`unix://${socket} 2.1.0`]: 1 })
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
  })

  it('is asked once by scrapes that overlap, and /healthz answers meanwhile', async () => {
    const gate = Promise.withResolvers<undefined>()
    let gated = false
    await using runtime = await CriReplay.start({
      ...empty('containerd', '2.0.0'),
      ListContainers: async () => {
        if (gated) await gate.promise
        return { containers: [] }
      },
    })
    await using exporter = await Program.start(['exporter'], {
      RUNTIME_ENDPOINT: runtime.socket,
      COLLECTORS: 'sockstat,network',
    })
    const url = await exporter.url()
    await scrape(url)
    const before = runtime.calls.length
    gated = true
    const scrapes = Array.from({ length: 20 }, () => scrape(url))
    await waitFor('the runtime to be asked', () => runtime.calls.length > before)
    // Each is a connection of its own; when this answers, those before it were read.
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    gate.resolve(undefined)
    for (const samples of await Promise.all(scrapes))
      expect(valuesBy(samples, 'podsonar_collector_success', ({ collector }) => collector)).toEqual({
        ...{ sockstat: 1, network: 1 },
      })
    const lists = runtime.calls.slice(before).filter((name) => name === 'ListContainers').length
    // One more where a request was read late.
    expect(lists).toBeLessThanOrEqual(2)
  })
})
