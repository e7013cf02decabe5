/** A proxy on a set of nodes that the test holds, and TLS kubelets behind it. */
import { writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http'
import { join } from 'node:path'
import { CertificateAuthority } from '../../lab/certificates.ts'
import { TemporaryFolder } from '../../lab/files.ts'
import { SimulatedKubelet } from '../../lab/kubelet.ts'
import { MemorySource } from '../../lab/memory-source.ts'
import { silentLogger } from '../../src/common/logger.ts'
import { loadInvocation } from '../../src/config/load.ts'
import type { NodeRecord, PodRecord } from '../../src/kubernetes/records.ts'
import { startProxyOn, type RunningProxy } from '../../src/proxy/proxy.ts'

export const token = 'the-service-account-token'

/** A whole answer. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** The code of a refusal. */
  readonly error: string | undefined
}

/** GET without the comfort of fetch: nothing decompressed, any path, and rejects when the body is cut short. */
export function get(port: number, path: string, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const body = Buffer.concat(chunks)
        const json = response.headers['content-type']?.startsWith('application/json') === true
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body,
          error: json ? (JSON.parse(body.toString()) as { error: string }).error : undefined,
        })
      })
    })
    request.on('error', reject)
    request.end()
  })
}

export interface WorldOptions {
  /** Settings over those of the world. */
  readonly settings?: Readonly<Record<string, string>>
}

export class ProxyWorld implements AsyncDisposable {
  readonly ca: CertificateAuthority
  readonly nodes: MemorySource<NodeRecord>
  readonly pods: MemorySource<PodRecord>
  readonly proxy: RunningProxy
  readonly tokenFile: string
  readonly #owned: AsyncDisposableStack

  private constructor(
    owned: AsyncDisposableStack,
    ca: CertificateAuthority,
    nodes: MemorySource<NodeRecord>,
    pods: MemorySource<PodRecord>,
    proxy: RunningProxy,
    tokenFile: string,
  ) {
    this.#owned = owned
    this.ca = ca
    this.nodes = nodes
    this.pods = pods
    this.proxy = proxy
    this.tokenFile = tokenFile
  }

  static async start({ settings = {} }: WorldOptions = {}): Promise<ProxyWorld> {
    await using owned = new AsyncDisposableStack()
    const folder = owned.use(await TemporaryFolder.create('proxy'))
    const ca = owned.use(await CertificateAuthority.create())
    const tokenFile = join(folder.path, 'token')
    await writeFile(tokenFile, `${token}\n`)
    const nodes = owned.use(new MemorySource<NodeRecord>('nodes', []))
    const pods = owned.use(new MemorySource<PodRecord>('pods', []))
    const invocation = loadInvocation(['proxy'], {
      PORT: '0',
      OPS_PORT: '0',
      LISTEN_ADDRESS: '127.0.0.1',
      LOOPBACK_NODES: 'true',
      KUBELET_CERTIFICATE_AUTHORITY: ca.certificateFile,
      KUBELET_TOKEN_FILE: tokenFile,
      ...settings,
    })
    if (!('mode' in invocation) || invocation.mode !== 'proxy') throw new Error('not the proxy')
    const proxy = owned.use(
      await startProxyOn({ nodes, pods: invocation.config.podProxy ? pods : undefined }, invocation.config, {
        log: silentLogger,
      }),
    )
    return new ProxyWorld(owned.move(), ca, nodes, pods, proxy, tokenFile)
  }

  /** A kubelet with a certificate that names only the node, as kubelets make them, and its node. */
  async addKubelet(
    name: string,
    address = '127.0.0.1',
    pages: Readonly<Record<string, string>> = {},
  ): Promise<SimulatedKubelet> {
    const certificate = await this.ca.issue({ commonName: name, dns: [name] })
    const kubelet = this.own(await SimulatedKubelet.start({ address, token, certificate, pages }))
    this.addNode(name, [address], kubelet.port)
    return kubelet
  }

  addNode(name: string, internalIps: readonly string[], kubeletPort: number): NodeRecord {
    const node = { uid: `uid-${name}`, name, internalIps, kubeletPort, ready: true, labels: {} }
    this.nodes.put(node)
    return node
  }

  /** Closed with the world. */
  own<T extends AsyncDisposable>(resource: T): T {
    return this.#owned.use(resource)
  }

  /** Scrapes a node's cAdvisor page through the proxy. */
  scrape(address: string, port: number, options: RequestOptions = {}): Promise<Answer> {
    return get(this.proxy.port, `/api/v1/nodes/${address}:${port}/metrics/cadvisor`, options)
  }

  /** A page of the ops port, as text. */
  async ops(path: string): Promise<string> {
    return (await get(this.proxy.opsPort, path)).body.toString()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}
