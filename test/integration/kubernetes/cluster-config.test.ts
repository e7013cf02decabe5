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

describe('a kubeconfig', () => {
  test('may be several files: the first to define a name wins, one that is missing does not matter', async () => {
    await using folder = await TemporaryFolder.create('config')
    const cluster = (name: string, server: string) => ({ name, cluster: { server } })
    const first = await write(
      join(folder.path, 'first'),
      JSON.stringify({
        clusters: [cluster('c', 'https://first:6443')],
        users: [{ name: 'u', user: { token: 'first' } }],
      }),
    )
    const second = await write(join(folder.path, 'second'), kubeconfig('https://second:6443'))
    const config = loadClusterConfig({ kubeconfig: `${first}:${join(folder.path, 'missing')}:${second}` })
    expect(config.server.host).toBe('first:6443')
    expect(await config.authenticate()).toMatchObject({ headers: { authorization: 'Bearer first' } })
    expect(loadClusterConfig({ kubeconfig: `${second}:${first}` }).server.host).toBe('second:6443')
  })

  test('says who we are by data, by files beside it, by name and password, and for whom we act', async () => {
    await using folder = await TemporaryFolder.create('config')
    const authenticate = async (cluster: object, user: object) => {
      const text = kubeconfig('', {
        clusters: [{ name: 'c', cluster: { server: 'https://a:6443', ...cluster } }],
        users: [{ name: 'u', user }],
      })
      const file = await write(join(folder.path, 'own'), text)
      return loadClusterConfig({ kubeconfig: file }).authenticate()
    }
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    const data = await authenticate(
      { 'certificate-authority-data': base64('authority'), 'tls-server-name': 'kubernetes' },
      { 'client-certificate-data': base64('certificate'), 'client-key-data': base64('key') },
    )
    expect({
      ...data,
      ...{ ca: String(data.ca), cert: String(data.cert), key: String(data.key as Buffer) },
    }).toEqual({
      ...{ ca: 'authority', cert: 'certificate', key: 'key', servername: 'kubernetes', headers: {} },
    })
    await write(join(folder.path, 'pki/ca.crt'), 'from a file')
    await write(join(folder.path, 'token'), 'from a file')
    const files = await authenticate(
      { 'certificate-authority': 'pki/ca.crt' },
      { tokenFile: 'token', as: 'me' },
    )
    expect(String(files.ca)).toBe('from a file')
    expect(files.headers).toEqual({ authorization: 'Bearer from a file', 'impersonate-user': 'me' })
    const password = await authenticate(
      { 'insecure-skip-tls-verify': true },
      { username: 'u', password: 'p' },
    )
    expect(password).toEqual({
      rejectUnauthorized: false,
      headers: { authorization: `Basic ${base64('u:p')}` },
    })
  })

  test.each([true, false])('may name a plugin that says who we are (TLS: %s)', async (tls) => {
    await using kubernetes = await SimulatedKubernetes.start({ token: 'of-the-plugin', tls })
    await using folder = await TemporaryFolder.create('config')
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'of-the-plugin' },
    }
    const exec = {
      ...{ apiVersion: credential.apiVersion, interactiveMode: 'Never' },
      ...{ command: 'echo', args: [JSON.stringify(credential)] },
    }
    const ca = Buffer.from(kubernetes.ca ?? '').toString('base64')
    const cluster = { server: kubernetes.url, ...(tls ? { 'certificate-authority-data': ca } : {}) }
    const text = kubeconfig('', {
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { exec } }],
    })
    const file = await write(join(folder.path, 'own'), text)
    using client = new KubernetesClient(loadClusterConfig({ kubeconfig: file }))
    expect(await listPods(client)).toMatchObject({ items: [] })
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
