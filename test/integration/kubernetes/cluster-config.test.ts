import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { SimulatedKubernetes } from '../../../lab/kubernetes/simulated-kubernetes.ts'
import { KubernetesClient } from '../../../src/kubernetes/client.ts'
import { loadClusterConfig } from '../../../src/kubernetes/cluster-config.ts'

const account = 'var/run/secrets/kubernetes.io/serviceaccount'
const listPods = (client: KubernetesClient) =>
  client.json({ act: 'list pods', path: '/api/v1/pods', signal: AbortSignal.timeout(20_000) })

async function write(path: string, text: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, text)
  return path
}

const kubeconfig = (server: string, more: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
    ...more,
  })

describe('where the cluster is', () => {
  test('is said by KUBECONFIG first, then the service account, ~/.kube/config and admin.conf', async () => {
    await using folder = await TemporaryFolder.create('config')
    const places = { home: join(folder.path, 'home'), root: `${folder.path}/` }
    expect(() => loadClusterConfig(places)).toThrow('KUBECONFIG is not set and there is neither')

    await write(join(folder.path, 'etc/kubernetes/admin.conf'), kubeconfig('https://admin:6443'))
    expect(loadClusterConfig(places).server.host).toBe('admin:6443')
    await write(join(folder.path, 'home/.kube/config'), kubeconfig('https://home:6443'))
    expect(loadClusterConfig(places).server.host).toBe('home:6443')
    const own = await write(join(folder.path, 'own'), kubeconfig('https://own:6443/k8s/clusters/c-1'))
    expect(loadClusterConfig({ ...places, kubeconfig: own }).server.href).toBe(
      'https://own:6443/k8s/clusters/c-1',
    )
    await write(join(folder.path, account, 'token'), 'secret')
    expect(() => loadClusterConfig(places)).toThrow('KUBERNETES_SERVICE_HOST')
  })

  test.each([
    ['is no YAML', 'clusters: [', /cannot use .*own: /],
    ['is empty', '', /cannot use .*own: /],
    ['has no current context', '{}', 'it has no current-context'],
    [
      'names a context that is not there',
      kubeconfig('https://a', { contexts: [] }),
      'is not among its contexts',
    ],
    [
      'names a cluster that is not there',
      kubeconfig('https://a', { clusters: [] }),
      'the cluster c of context x',
    ],
    ['names a user that is not there', kubeconfig('https://a', { users: [] }), 'the user u of context x'],
    [
      'has a server that is no URL',
      kubeconfig('10.0.0.1:6443'),
      'the server 10.0.0.1:6443 of cluster c is not a URL',
    ],
  ])('is refused in one sentence when the kubeconfig %s', async (_, text, message) => {
    await using folder = await TemporaryFolder.create('config')
    const file = await write(join(folder.path, 'own'), text)
    expect(() => loadClusterConfig({ kubeconfig: file })).toThrow(message)
  })
})

describe('the way to the API server', () => {
  test('uses the service account in a pod, and reads a renewed token after a refusal', async () => {
    await using kubernetes = await SimulatedKubernetes.start({ token: 'first' })
    await using folder = await TemporaryFolder.create('account')
    const file = await write(join(folder.path, account, 'token'), 'first\n')
    await write(join(folder.path, account, 'ca.crt'), kubernetes.ca ?? '')
    await write(join(folder.path, account, 'namespace'), 'monitoring')
    const { port } = new URL(kubernetes.url)
    process.env['KUBERNETES_SERVICE_HOST'] = '127.0.0.1'
    process.env['KUBERNETES_SERVICE_PORT'] = port
    try {
      const config = loadClusterConfig({ root: `${folder.path}/` })
      expect(config).toMatchObject({ namespace: 'monitoring', origin: 'service account' })
      using client = new KubernetesClient(config)
      await listPods(client)
      kubernetes.api.token = 'second'
      await writeFile(file, 'second\n')
      await expect(listPods(client)).rejects.toMatchObject({ code: 'unauthorised' })
      await listPods(client)
    } finally {
      delete process.env['KUBERNETES_SERVICE_HOST']
      delete process.env['KUBERNETES_SERVICE_PORT']
    }
  })

  test('does not trust a server that another CA signed, and keeps the token to itself', async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    await using other = await CertificateAuthority.create('other')
    await using folder = await TemporaryFolder.create('config')
    const cluster = { server: kubernetes.url, 'certificate-authority': other.certificateFile }
    const text = kubeconfig('', { clusters: [{ name: 'c', cluster }] })
    const file = await write(join(folder.path, 'own'), text)
    using client = new KubernetesClient(loadClusterConfig({ kubeconfig: file }))
    await expect(listPods(client)).rejects.toMatchObject({
      code: 'api_unreachable',
      message: expect.stringMatching(/UNABLE_TO|SELF_SIGNED/) as string,
    })
    expect(kubernetes.api.requests).toEqual([])
  })

  test('keeps its connection', async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    const config = loadClusterConfig({ kubeconfig: await kubernetes.kubeconfig() })
    using client = new KubernetesClient(config)
    const ports = new Set<number | undefined>()
    for (let turn = 0; turn < 5; turn += 1) {
      const response = await client.stream({
        act: 'list pods',
        path: '/api/v1/pods',
        signal: AbortSignal.timeout(20_000),
      })
      ports.add(response.socket.localPort)
      await response.toArray()
    }
    expect(ports.size).toBe(1)
  })

  test('gives up a server that does not answer', async () => {
    await using kubernetes = await SimulatedKubernetes.start()
    kubernetes.freeze()
    const config = loadClusterConfig({ kubeconfig: await kubernetes.kubeconfig() })
    using client = new KubernetesClient(config)
    const signal = AbortSignal.timeout(20_000)
    await expect(
      client.json({ act: 'list pods', path: '/api/v1/pods', signal, silenceMs: 200 }),
    ).rejects.toMatchObject({ code: 'api_silent' })
  })
})
