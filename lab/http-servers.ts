/** Servers that speak HTTP and gRPC, to be watched: each listens on 127.0.0.1 in a cgroup of its own. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:net'
import { cpus } from 'node:os'
import { multiarch } from './clang.ts'
import { unpacked } from './needs.ts'
import { freePorts } from './ports.ts'
import type { Process } from './process.ts'
import { waitFor } from './wait.ts'
import type { WatchedCgroup } from './watched-cgroup.ts'

/** A server that answers. */
export interface HttpServer {
  readonly process: Process
  readonly port: number
}

/** A server with an access log, a line for each request. */
export interface LoggingServer extends HttpServer {
  /** The log's file. nginx: status, method and path. */
  readonly accessLog: string
}

export interface NginxOptions {
  /** Where its files go; outlives it. */
  readonly folder: string
  /** HTTP/2 without TLS. @default false */
  readonly http2?: boolean
  /** @default one for each processor */
  readonly workers?: number
  /** Certificate and key: it then speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string }
}

/** nginx with `/status/N` (answers N), `/file/NAME`, `/served` (see {@link servedByNginx}) and `/` (200, `ok`). */
export async function startNginx(cgroup: WatchedCgroup, options: NginxOptions): Promise<LoggingServer> {
  const { folder, http2 = false, workers = cpus().length, tls } = options
  const root = await unpacked('nginx')
  const [port = 0] = await freePorts(1)
  const accessLog = join(folder, 'access.log')
  await mkdir(join(folder, 'files'), { recursive: true })
  await writeFile(join(folder, 'files', 'large'), 'x'.repeat(300_000))
  for (const path of [folder, join(folder, 'files')]) await chmod(path, 0o755)
  const certificate =
    tls === undefined ? '' : `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};`
  const statuses = [201, 204, 301, 304, 400, 403, 404, 418, 500, 503]
  const locations = statuses.map((status) => `location = /status/s${status} { return ${status}; }`)
  const config = `
daemon off; master_process on; worker_processes ${workers}; worker_cpu_affinity auto; pid ${join(folder, 'nginx.pid')};
error_log ${join(folder, 'error.log')} warn;
events { worker_connections 4096; }
http {
  log_format plain '$status $request_method $uri'; access_log ${accessLog} plain buffer=64k flush=100ms;
  keepalive_requests 10000000; keepalive_timeout 600s; client_max_body_size 100m;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(folder, name)};`).join(' ')}
  server {
    listen 127.0.0.1:${port} backlog=4096${http2 ? ' http2' : ''}${tls === undefined ? '' : ' ssl'}; ${certificate}
    ${locations.join('\n    ')}
    location = /served { stub_status; }
    location /file/ { alias ${join(folder, 'files')}/; sendfile on; }
    location / { return 200 "ok\\n"; }
  }
}
`
  const file = join(folder, 'nginx.conf')
  await writeFile(file, config)
  const process = await cgroup.start('nginx', join(root, 'usr/sbin/nginx'), [
    '-c',
    file,
    '-e',
    join(folder, 'error.log'),
  ])
  await answering(process, port)
  return { process, port, accessLog }
}

/** Requests that nginx has been asked since its start, this one among them: of ngx_http_stub_status_module. */
export async function servedByNginx(port: number): Promise<number> {
  // A connection of its own each time: one that is kept would wait behind none but cost fetch its pool.
  const answer = await fetch(`http://127.0.0.1:${port}/served`, { headers: { connection: 'close' } })
  const text = await answer.text()
  const requests = /^ \d+ \d+ (\d+) $/m.exec(text)?.[1]
  if (requests === undefined) throw new Error(`nginx does not tell what it served: ${text.slice(0, 200)}`)
  return Number(requests)
}

/**
 * Apache, whose access log has the microseconds that each request took: `MICROSECONDS STATUS PATH TRACEPARENT` a line. Serves
 * `/file`.
 */
export async function startApache(cgroup: WatchedCgroup, folder: string): Promise<LoggingServer> {
  const root = await unpacked('apache')
  const [port = 0] = await freePorts(1)
  const accessLog = join(folder, 'access.log')
  const documents = join(folder, 'documents')
  await mkdir(documents)
  await writeFile(join(documents, 'file'), 'x'.repeat(100_000))
  for (const path of [folder, documents]) await chmod(path, 0o755)
  const file = join(folder, 'httpd.conf')
  const lines = [
    ...[
      `ServerRoot ${join(root, 'usr/lib/apache2')}`,
      'ServerName localhost',
      `PidFile ${join(folder, 'pid')}`,
    ],
    ...[`Listen 127.0.0.1:${port}`, `DefaultRuntimeDir ${folder}`, `ErrorLog ${join(folder, 'error.log')}`],
    ...['LoadModule mpm_event_module modules/mod_mpm_event.so', 'User daemon', 'Group daemon'],
    ...['LoadModule authz_core_module modules/mod_authz_core.so', `DocumentRoot ${documents}`],
    ...[
      'LogFormat "%D %>s %U %{traceparent}i" microseconds',
      `CustomLog ${accessLog} microseconds`,
      'MaxKeepAliveRequests 0',
    ],
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const env = { ...process.env, LD_LIBRARY_PATH: join(root, 'usr/lib', multiarch()) }
  const args = ['-f', file, '-DFOREGROUND']
  const started = await cgroup.start('apache', join(root, 'usr/sbin/apache2'), args, { env })
  await answering(started, port)
  return { process: started, port, accessLog }
}

/** etcd of Debian: a server in Go that speaks gRPC, and HTTP beside it. */
export async function startEtcd(cgroup: WatchedCgroup, folder: string): Promise<HttpServer> {
  const root = await unpacked('etcd')
  const [port = 0, peerPort = 0] = await freePorts(2)
  const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`]
  const process = await cgroup.start('etcd', join(root, 'usr/bin/etcd'), [
    ...[
      '--data-dir',
      join(folder, 'etcd'),
      '--listen-client-urls',
      client,
      '--advertise-client-urls',
      client,
    ],
    ...[
      '--listen-peer-urls',
      peer,
      '--initial-advertise-peer-urls',
      peer,
      '--initial-cluster',
      `default=${peer}`,
    ],
    ...['--logger', 'zap', '--log-outputs', 'stderr'],
  ])
  await answering(process, port, '/health')
  return { process, port }
}

/** Python's own server, of the folder it is given. */
export async function startPython(cgroup: WatchedCgroup, folder: string): Promise<HttpServer> {
  const [port = 0] = await freePorts(1)
  const args = ['-m', 'http.server', String(port), '--bind', '127.0.0.1', '--directory', folder]
  const process = await cgroup.start('python', 'python3', args)
  await answering(process, port)
  return { process, port }
}

/** Waits until a request is answered, without one that the server would count: it only connects, but for etcd. */
async function answering(server: Process, port: number, path?: string): Promise<void> {
  await waitFor(`${server.name} to answer`, async () => {
    if (!server.running) throw new Error(`${server.name} ended: ${server.stderr.slice(-2_000)}`)
    if (path !== undefined) return (await fetch(`http://127.0.0.1:${port}${path}`)).ok
    return new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () =>
        socket.end(() => {
          resolve(true)
        }),
      )
      socket.once('error', () => {
        resolve(false)
      })
    })
  })
}
