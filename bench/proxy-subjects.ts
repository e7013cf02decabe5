/** What stands between a Prometheus and a kubelet in the proxy benchmark: podsonar, nginx, haproxy, http-proxy. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CertificateAuthority } from '../lab/certificates.ts'
import { unpackDebian } from '../lab/debian.ts'
import { TemporaryFolder } from '../lab/files.ts'
import { SimulatedKubernetes } from '../lab/kubernetes/simulated-kubernetes.ts'
import { freePorts } from '../lab/ports.ts'
import { Process } from '../lab/process.ts'
import { Program } from '../lab/program.ts'
import { waitFor } from '../lab/wait.ts'

/** Where everything is that the subjects scrape, and how. */
export interface Scene {
  readonly ca: CertificateAuthority
  readonly token: string
  readonly tokenFile: string
  /** The port of the kubelets, the same on each address. */
  readonly kubeletPort: number
  /** Addresses of nodes; the first stands for all where a subject takes only one. */
  readonly addresses: readonly string[]
  /** The name in the kubelets' certificate. */
  readonly name: string
}

/** A running proxy: one process. */
export interface Subject extends AsyncDisposable {
  readonly pid: number
  readonly port: number
}

class Running implements Subject {
  readonly pid: number
  readonly port: number
  readonly #owned: AsyncDisposableStack

  constructor(pid: number, port: number, owned: AsyncDisposableStack) {
    this.pid = pid
    this.port = port
    this.#owned = owned
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }
}

/** podsonar as its image runs it, knowing all the nodes. */
export async function startPodsonar(scene: Scene): Promise<Subject> {
  await using owned = new AsyncDisposableStack()
  const kubernetes = owned.use(await SimulatedKubernetes.start())
  scene.addresses.forEach((ip, index) => {
    const name = index === 0 ? scene.name : `n${index}.${scene.name}`
    kubernetes.addNode({ name, internalIps: [ip], kubeletPort: scene.kubeletPort })
  })
  const program = owned.use(
    await Program.start(['proxy'], {
      KUBECONFIG: await kubernetes.kubeconfig(),
      KUBELET_CERTIFICATE_AUTHORITY: scene.ca.certificateFile,
      KUBELET_TOKEN_FILE: scene.tokenFile,
      LOOPBACK_NODES: 'true',
      MAX_IN_FLIGHT_PER_NODE: '250',
    }),
  )
  const ops = await program.url('OPS_PORT')
  await waitFor('podsonar to be ready', async () => (await fetch(`${ops}/readyz`)).ok)
  const { port } = new URL(await program.url('PORT'))
  return new Running(program.process.pid, Number(port), owned.move())
}

/** http-proxy without any of the precautions. */
export async function startNaive(scene: Scene): Promise<Subject> {
  await using owned = new AsyncDisposableStack()
  const [port = 0] = await freePorts(1)
  const program = fileURLToPath(new URL('../lab/naive-proxy.ts', import.meta.url))
  const args = [program, String(port), scene.ca.certificateFile, scene.token]
  const started = owned.use(await Process.start('naive proxy', process.execPath, args))
  await waitFor('the naive proxy', () => started.stdout.includes('ready'))
  return new Running(started.pid, port, owned.move())
}

/** nginx with Debian's defaults, one process, connections to the kubelet kept and verified. */
export async function startNginx(scene: Scene): Promise<Subject> {
  await using owned = new AsyncDisposableStack()
  const folder = owned.use(await TemporaryFolder.create('nginx'))
  const root = await unpackDebian('bookworm', ['nginx'])
  const [port = 0] = await freePorts(1)
  const config = join(folder.path, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(folder.path, kind)};`)
    .join('\n  ')
  await writeFile(
    config,
    `daemon off; master_process off; pid ${join(folder.path, 'pid')}; error_log stderr;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  ${temporary}
  upstream kubelet { server ${scene.addresses[0] ?? ''}:${scene.kubeletPort}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port};
    location ~ ^/api/v1/nodes/[^/]+(/metrics/cadvisor)$ {
      proxy_pass https://kubelet$1;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer ${scene.token}";
      proxy_ssl_verify on; proxy_ssl_server_name on; proxy_ssl_name ${scene.name};
      proxy_ssl_trusted_certificate ${scene.ca.certificateFile};
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
    }
  }
}
`,
  )
  const args = ['-c', config, '-p', folder.path]
  const started = owned.use(await Process.start('nginx', join(root, 'usr/sbin/nginx'), args))
  await answers('nginx', port, started)
  return new Running(started.pid, port, owned.move())
}

/** haproxy with one thread, connections to the kubelet kept and verified. */
export async function startHaproxy(scene: Scene): Promise<Subject> {
  await using owned = new AsyncDisposableStack()
  const folder = owned.use(await TemporaryFolder.create('haproxy'))
  const libraries = ['liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1']
  const root = await unpackDebian('bookworm', ['haproxy', ...libraries])
  const [port = 0] = await freePorts(1)
  const config = join(folder.path, 'haproxy.cfg')
  const kubelet = `${scene.addresses[0] ?? ''}:${scene.kubeletPort}`
  await writeFile(
    config,
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend scrapes
  bind 127.0.0.1:${port}
  default_backend kubelet
backend kubelet
  http-request set-path /metrics/cadvisor
  http-request set-header Authorization "Bearer ${scene.token}"
  server node ${kubelet} ssl verify required ca-file ${scene.ca.certificateFile} sni str(${scene.name}) verifyhost ${scene.name}
`,
  )
  const env = { ...process.env, LD_LIBRARY_PATH: join(root, 'usr/lib/x86_64-linux-gnu') }
  const args = ['-db', '-f', config]
  const started = owned.use(await Process.start('haproxy', join(root, 'usr/sbin/haproxy'), args, { env }))
  await answers('haproxy', port, started)
  return new Running(started.pid, port, owned.move())
}

async function answers(name: string, port: number, started: Process): Promise<void> {
  await waitFor(`${name} to answer`, async () => {
    if (!started.running) throw new Error(`${name} ended: ${started.stderr.slice(-1_000)}`)
    await fetch(`http://127.0.0.1:${port}/`)
    return true
  })
}
