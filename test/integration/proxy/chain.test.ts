import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { demoPrometheusConfig } from '../../../demo/prometheus-config.ts'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { Consul } from '../../../lab/consul.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubelet } from '../../../lab/kubelet.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { Program } from '../../../lab/program.ts'
import { Prometheus } from '../../../lab/prometheus.ts'
import { waitFor } from '../../../lab/wait.ts'
import { describeWith } from '../../setup/needs.ts'
import { scrape, valuesBy } from '../../support/exposition.ts'
import { ProxyWorld } from '../../support/proxy-world.ts'
import { marked, registrarSettings } from '../../support/registrar.ts'

describeWith(['consul', 'prometheus'], 'the whole chain', () => {
  it('Prometheus scrapes nodes and pods through the proxy as the registrar tells it, whatever happens to token and API server', async () => {
    await using consul = await Consul.start()
    await using kubernetes = await SimulatedKubernetes.start()
    await using ca = await CertificateAuthority.create()
    await using folder = await TemporaryFolder.create('chain')
    await using owned = new AsyncDisposableStack()
    const tokenFile = join(folder.path, 'token')
    await writeFile(tokenFile, 'first-token')
    const kubelets: SimulatedKubelet[] = []
    for (const index of [1, 2]) {
      const name = `node-${index}`
      const address = `127.0.0.${index}`
      const certificate = await ca.issue({ commonName: name, dns: [name] })
      const kubelet = owned.use(await SimulatedKubelet.start({ address, token: 'first-token', certificate }))
      kubelets.push(kubelet)
      kubernetes.addNode({ name, internalIps: [address], kubeletPort: kubelet.port })
    }
    const pod = createServer((_request, response) => response.end('chain_pod_metric 1\n'))
    owned.defer(() => void pod.close())
    await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve))
    const { port: podPort } = pod.address() as AddressInfo
    kubernetes.addPod({
      name: 'web-1',
      ip: '127.0.0.1',
      nodeName: 'node-1',
      annotations: marked({ port: String(podPort) }),
    })

    await using proxy = await Program.start(['proxy'], {
      KUBECONFIG: await kubernetes.kubeconfig(),
      KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
      KUBELET_TOKEN_FILE: tokenFile,
      LOOPBACK_NODES: 'true',
      POD_PROXY: 'true',
    })
    const proxyPort = new URL(await proxy.url('PORT')).port
    const ops = await proxy.url('OPS_PORT')
    await waitFor('the proxy to be ready', async () => (await fetch(`${ops}/readyz`)).ok)
    const settings = {
      POD_SERVICE_NAME: 'k8s-pods',
      NODE_SERVICE_NAME: 'k8s-nodes',
      NODE_PROXY_ADDRESS: '127.0.0.1',
      NODE_PROXY_PORT: proxyPort,
      POD_ROUTE: 'proxy',
    }
    await using registrar = await Program.start(
      ['registrar'],
      await registrarSettings(consul, kubernetes, settings),
    )
    await registrar.url()
    await using prometheus = await Prometheus.start(demoPrometheusConfig(consul.url.slice('http://'.length)))

    const up = async (): Promise<string[]> =>
      (await prometheus.query('up == 1'))
        .map(({ metric: { job = '', node = '', pod: name = '' } }) => [job, node, name].join(' ').trim())
        .sort()
    const all = [
      'kubernetes-nodes-cadvisor node-1',
      'kubernetes-nodes-cadvisor node-2',
      'kubernetes-pods node-1 web-1',
    ]
    await waitFor('all to be up', async () => (await up()).join() === all.join(), { timeoutMs: 60_000 })
    expect((await prometheus.query('chain_pod_metric')).length).toBe(1)
    expect((await prometheus.query('count by (node) (machine_memory_bytes)')).length).toBe(2)

    const asked = (): number => Math.min(...kubelets.map(({ requests }) => requests.length))
    const scrapedAgain = async (what: string): Promise<void> => {
      const before = asked()
      await waitFor(`scrapes after ${what}`, () => asked() >= before + 3, { timeoutMs: 60_000 })
    }
    await writeFile(tokenFile, 'second-token')
    for (const kubelet of kubelets) kubelet.token = 'second-token'
    await scrapedAgain('the token was rotated')
    await kubernetes.leave()
    await scrapedAgain('the API server left')
    await waitFor('all to be up still', async () => (await up()).join() === all.join())
    const refusals = valuesBy(await scrape(ops), 'podsonar_proxy_refusals_total', ({ code }) => code)
    // What Prometheus gives a scrape, two seconds, may be too little on a busy machine.
    const { upstream_timeout: _late, client_gone: _gone, ...others } = refusals
    expect(others).toEqual({})
    expect(proxy.process.stderr).not.toMatch(/first-token|second-token/)
  })
})

it('a node that is removed in the middle of a scrape gets to the end of it, and is not scraped again', async () => {
  await using world = await ProxyWorld.start()
  const kubelet = await world.addKubelet('node-1')
  kubelet.behaviour = 'drip'
  const running = world.scrape('127.0.0.1', kubelet.port, {
    headers: { 'accept-encoding': 'gzip', 'x-prometheus-scrape-timeout-seconds': '30' },
  })
  await waitFor('the scrape to run', () => kubelet.running === 1)
  world.nodes.remove('uid-node-1')
  expect((await world.scrape('127.0.0.1', kubelet.port)).error).toBe('unknown_node')
  const answer = await running
  expect([answer.status, gunzipSync(answer.body).toString().startsWith('# HELP')]).toEqual([200, true])
  const metrics = await world.ops('/metrics')
  expect(metrics).toContain('podsonar_proxy_nodes 0')
  expect(metrics).not.toContain('node="node-1"')
})
