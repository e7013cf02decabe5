import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { loadHttps } from '../../../lab/h2load.ts'
import { startNginx } from '../../../lab/http-servers.ts'
import { run, type Process } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { WatchedCgroup } from '../../../lab/watched-cgroup.ts'
import { describeWith } from '../../setup/needs.ts'
import { missedOnTheNode } from '../../support/bpf-programs.ts'
import { countedOf, openRequestReader, untilCounted } from '../../support/request-reader.ts'
import type { RequestReader } from '../../../src/exporter/ebpf/request-reader.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import { Procfs } from '../../../src/exporter/procfs.ts'
import { TlsLibraries } from '../../../src/exporter/requests/tls-libraries.ts'

const nodeServer = fileURLToPath(new URL('../../support/node-https-server.ts', import.meta.url))

/** Follows what the processes of these cgroups speak TLS with. */
async function follow(
  reader: RequestReader,
  cgroups: Readonly<Record<string, WatchedCgroup>>,
): Promise<readonly string[]> {
  const libraries = new TlsLibraries({ procfs: Procfs.open('/proc'), log: silentLogger })
  const found = await libraries.of(Object.values(cgroups).flatMap((cgroup) => cgroup.pids()))
  const watched = Object.entries(cgroups).map(([owner, { id }]) => ({ owner, cgroupId: id }))
  expect(reader.watch(watched, found)).toBeUndefined()
  return found.map(({ path }) => path)
}

async function portOf(server: Process): Promise<string> {
  return await waitFor('the port', () => /port (\S+)/.exec(server.stdout)?.[1])
}

for (const hooks of ['socket', 'syscall'] as const) {
  describeWith(
    ['root', 'bpf', 'nginx', 'curl', 'h2load'],
    `requests within TLS, seen by ${hooks} hooks`,
    () => {
      it('of nginx and of curl are counted, HTTP/1.1 and HTTP/2, until the library is let go', async () => {
        await using authority = await CertificateAuthority.create()
        const { certificateFile, keyFile } = await authority.issue({
          commonName: 'nginx',
          ips: ['127.0.0.1'],
        })
        await using folder = await TemporaryFolder.create('nginx')
        await using cgroup = await WatchedCgroup.create()
        await using clients = await WatchedCgroup.create()
        using reader = openRequestReader({}, { hooks, followTls: true })
        const tls = { certificate: certificateFile, key: keyFile }
        const nginx = await startNginx(cgroup, { folder: folder.path, http2: true, tls })
        await using _nginx = nginx.process
        const base = `https://127.0.0.1:${nginx.port}`

        expect(await follow(reader, { nginx: cgroup, curl: clients })).toEqual([
          expect.stringMatching(/libssl\.so\.3$/),
        ])
        expect(reader.read(false).tlsLibraries).toBe(1)
        const curl = ['-sk', '-o', '/dev/null']
        await run('curl', [
          ...curl,
          '--http1.1',
          `${base}/status/s404`,
          `${base}/users/[1-30]/posts?token=secret`,
        ])
        for (const version of ['--http1.1', '--http2'])
          await (
            await clients.start('curl', 'curl', [
              ...curl,
              version,
              `${base}/file/large`,
              `${base}/status/s403`,
            ])
          ).exited
        await run('curl', [...curl, '--http1.1', '-d', 'x'.repeat(100_000), `${base}/post`])

        await untilCounted(reader, {
          'nginx http_server GET /status/s404 404': 1,
          'nginx http_server GET /status/s403 403': 2,
          'nginx http_server GET /users/{number}/posts 200': 30,
          'nginx http_server GET /file/large 200': 2,
          'curl http_client GET /status/s403 403': 2,
          'curl http_client GET /file/large 200': 2,
          'nginx http_server POST /post 200': 1,
        })
        const { series, lost, unattributed } = reader.read(false)
        expect(lost).toBeLessThan(missedOnTheNode)
        expect(unattributed).toBe(0)
        expect(series.every(({ labels }) => labels.includes('url_scheme="https"'))).toBe(true)
        const large = series.filter(({ labels }) => labels.includes('large'))
        expect(large.reduce((bytes, one) => bytes + one.responseBytes, 0)).toBe(4 * 300_000)

        const { done } = await loadHttps(nginx.port, { requests: 5_000 })
        expect(done).toBe(5_000)
        await waitFor(
          'the load to be counted',
          () => countedOf(reader)['nginx http_server GET /loaded 200'] === 5_000,
        )
        reader.watch([{ owner: 'nginx', cgroupId: cgroup.id }])
        expect(reader.read(false).tlsLibraries).toBe(0)
        await run('curl', [...curl, `${base}/unseen`])
        reader.watch([])
        expect(Object.keys(countedOf(reader)).join()).not.toContain('unseen')
      })

      it('of Node.js are counted, a server that is a client too, which moves encrypted bytes itself', async () => {
        await using authority = await CertificateAuthority.create()
        const { certificateFile, keyFile } = await authority.issue({ commonName: 'node', ips: ['127.0.0.1'] })
        await using cgroup = await WatchedCgroup.create()
        using reader = openRequestReader({}, { hooks, followTls: true })
        const server = await cgroup.start('node', process.execPath, [nodeServer, certificateFile, keyFile])
        await using _server = server
        const base = `https://127.0.0.1:${await portOf(server)}`

        expect(await follow(reader, { node: cgroup })).toEqual([expect.stringMatching(/node$/)])
        const curl = ['-sk', '-o', '/dev/null', '--parallel', '--parallel-max', '8']
        await run('curl', [...curl, '--http1.1', `${base}/items/[1-100]`, `${base}/large`, `${base}/missing`])
        await run('curl', [...curl, '--http2', `${base}/streams/[1-100]`, `${base}/missing`])
        await run('curl', [...curl, '--http1.1', `${base}/ask/[1-50]`])

        await untilCounted(reader, {
          'node http_server GET /items/{number} 200': 100,
          'node http_server GET /streams/{number} 200': 100,
          'node http_server GET /large 200': 1,
          'node http_server GET /missing 404': 2,
          'node http_server GET /ask/{number} 200': 50,
          'node http_server GET /asked 200': 50,
          'node http_client GET /asked 200': 50,
        })
        const { series, lost, unattributed } = reader.read(false)
        expect(lost).toBeLessThan(missedOnTheNode)
        expect(unattributed).toBe(0)
        expect(series.every(({ labels }) => labels.includes('url_scheme="https"'))).toBe(true)
      })

      it('of clients and servers of every make are counted, and those of other cgroups are not', async () => {
        await using authority = await CertificateAuthority.create()
        const { certificateFile, keyFile } = await authority.issue({
          commonName: 'python',
          ips: ['127.0.0.1'],
        })
        await using servers = await WatchedCgroup.create()
        await using clients = await WatchedCgroup.create()
        await using elsewhere = await WatchedCgroup.create()
        using reader = openRequestReader({}, { hooks, followTls: true })
        const python = ['-c', pythonServers, certificateFile, keyFile]
        const server = await servers.start('python', 'python3', python)
        await using _server = server
        const unwatched = await elsewhere.start('python', 'python3', python)
        await using _unwatched = unwatched
        const [blocking, asynchronous] = (await portOf(server)).split(',')
        const [other] = (await portOf(unwatched)).split(',')
        // Clients that last: what they load is looked for before they ask.
        const client = await clients.start('client', 'python3', ['-c', pythonClient, blocking ?? ''])
        await using _client = client
        await portOf(client)

        await follow(reader, { python: servers, client: clients })
        client.kill('SIGUSR1')
        await waitFor('the client to have asked', () => client.stdout.includes('asked'))
        const curl = ['-sk', '-o', '/dev/null', '--http1.1']
        await run('curl', [...curl, `https://127.0.0.1:${asynchronous ?? ''}/asynchronous/[1-40]`])
        await run('curl', [...curl, `https://127.0.0.1:${other ?? ''}/unwatched`])

        await waitFor('the requests to be counted', () => {
          expect(countedOf(reader)).toEqual({
            // The server waited for the first one in a call that had begun before it was followed.
            'python http_server GET /late/{number} 200': 19,
            'python http_server GET /asynchronous/{number} 200': 40,
            'client http_client GET /late/{number} 200': 20,
          })
          return true
        })
      })
    },
  )
}

/** A server with blocking sockets, and one of asyncio, which moves encrypted bytes itself. */
const pythonServers = `
import asyncio, http.server, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_): pass
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Length', '4'); self.end_headers(); self.wfile.write(b'done')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
async def answer(reader, writer):
    try:
        while True:
            await reader.readuntil(b'\\r\\n\\r\\n')
            writer.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ndone')
            await writer.drain()
    except Exception:
        writer.close()
async def main():
    aio = await asyncio.start_server(answer, '127.0.0.1', 0, ssl=context)
    print(f'port {server.server_port},{aio.sockets[0].getsockname()[1]}', flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
`

/** Asks once before it is followed, and then on the same connection. */
const pythonClient = `
import http.client, signal, ssl, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
connection = http.client.HTTPSConnection('127.0.0.1', int(sys.argv[1]), context=ssl._create_unverified_context())
def ask(path):
    connection.request('GET', path); connection.getresponse().read()
ask('/before')
print('port 0', flush=True)
signal.sigwait({signal.SIGUSR1})
for n in range(20): ask(f'/late/{n}')
print('asked', flush=True)
`
