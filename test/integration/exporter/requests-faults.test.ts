import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { CertificateAuthority } from '../../../lab/certificates.ts'
import { TemporaryFolder } from '../../../lab/files.ts'
import { startNginx } from '../../../lab/http-servers.ts'
import { run } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { WatchedCgroup } from '../../../lab/watched-cgroup.ts'
import { silentLogger } from '../../../src/common/logger.ts'
import { Procfs } from '../../../src/exporter/procfs.ts'
import { TlsLibraries } from '../../../src/exporter/requests/tls-libraries.ts'
import { describeWith } from '../../setup/needs.ts'
import { countedOf, openRequestReader, untilCounted } from '../../support/request-reader.ts'

const execute = promisify(execFile)
const httpsServer = fileURLToPath(new URL('../../support/node-https-server.ts', import.meta.url))

for (const hooks of ['socket', 'syscall'] as const) {
  describeWith(
    ['root', 'bpf', 'nginx', 'curl', 'python3'],
    `faults of requests, seen by ${hooks} hooks`,
    () => {
      it('headers of a megabyte, binary paths and half requests are never more than what nginx was asked', async () => {
        await using folder = await TemporaryFolder.create('nginx')
        await using cgroup = await WatchedCgroup.create()
        using reader = openRequestReader({ nginx: cgroup }, { hooks })
        const nginx = await startNginx(cgroup, { folder: folder.path })
        await using _nginx = nginx.process

        await execute('python3', ['-c', badClient, String(nginx.port)])
        await run('curl', ['-s', '-o', '/dev/null', `http://127.0.0.1:${nginx.port}/last`])

        await untilCounted(reader, {
          'nginx http_server GET /big 400': 1,
          'nginx http_server GET /{text} 200': 1,
          'nginx http_server GET /last 200': 1,
        })
      })

      it('what is no HTTP is no request, on any port and in a flood of connections, and memory stays bounded', async () => {
        await using cgroup = await WatchedCgroup.create()
        using reader = openRequestReader({ echo: cgroup }, { hooks, maxConnections: 16 })
        const server = await cgroup.start('echo', 'python3', ['-c', echoServer])
        await using _server = server
        const port = await waitFor('the port', () => /port (\d+)/.exec(server.stdout)?.[1])

        await execute('python3', ['-c', noisyClient, port])

        await waitFor('the connections to have been seen', () => reader.read(false).evicted > 100)
        expect(countedOf(reader)).toEqual({})
        expect(reader.read(false).connections).toBeLessThanOrEqual(16)
      })

      it('a server that dies within a request, in TLS, leaves one without a response', async () => {
        await using authority = await CertificateAuthority.create()
        const { certificateFile, keyFile } = await authority.issue({ commonName: 'node', ips: ['127.0.0.1'] })
        await using cgroup = await WatchedCgroup.create()
        using reader = openRequestReader({}, { hooks, followTls: true })
        const server = await cgroup.start('node', process.execPath, [httpsServer, certificateFile, keyFile])
        await using _server = server
        const port = await waitFor('the port', () => /port (\d+)/.exec(server.stdout)?.[1])
        const libraries = new TlsLibraries({ procfs: Procfs.open('/proc'), log: silentLogger })
        const watched = [{ owner: 'node', cgroupId: cgroup.id }]
        expect(reader.watch(watched, await libraries.of(cgroup.pids()))).toBeUndefined()

        const curl = ['-sk', '-o', '/dev/null', '--http1.1']
        const urls = ['items/1', 'die'].map((path) => `https://127.0.0.1:${port}/${path}`)
        await run('curl', [...curl, ...urls]).catch(() => undefined)

        await untilCounted(reader, {
          'node http_server GET /items/{number} 200': 1,
          'node http_server GET /die ': 1,
        })
      })
    },
  )
}

/** Each on a connection of its own, whose answer is read to its end. */
const badClient = `
import socket, sys
def send(data, read=True):
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    try:
        s.sendall(data)
        if read: s.shutdown(socket.SHUT_WR)
        while read and s.recv(65536): pass
    except OSError: pass
    s.close()
send(b'GET /big HTTP/1.1\\r\\nHost: a\\r\\nX-Filler: ' + b'f' * 1000000 + b'\\r\\n\\r\\n')
send(b'GET /\\xff\\xfe\\x80 HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')
send(b'GET /half HTTP/1.1\\r\\nHost', False)
send(bytes(range(256)) * 100)
`

/** Answers with what it gets, each connection in a thread. */
const echoServer = `
import socket, threading
listener = socket.create_server(('127.0.0.1', 0), backlog=1024)
print('port', listener.getsockname()[1], flush=True)
def echo(s):
    try:
        while True:
            data = s.recv(65536)
            if not data: break
            s.sendall(data)
    except OSError: pass
    s.close()
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
`

/** Lines of other protocols, beginnings of HTTP that go on otherwise, and noise; open all at once, and some cut off. */
const noisyClient = `
import random, socket, sys
random.seed(8)
texts = [b'EHLO mail\\r\\n', b'PING\\r\\n', b'SELECT 1;\\n', b'GET\\r\\n', b'GET / HTTP/9.9\\r\\n\\r\\n', b'HTTP/1.1 999\\r\\n\\r\\n', b'PRI * HTTP/2.0\\r\\n\\r\\nNO\\r\\n\\r\\n', b'\\x16\\x03\\x01\\x02\\x00', b'*1\\r\\n$4\\r\\nPING\\r\\n']
open_ones = []
for n in range(400):
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    data = texts[n % len(texts)] if n % 2 else random.randbytes(1 + n * 37 % 20000)
    s.sendall(data)
    if n % 5: open_ones.append(s); s.recv(65536)
    else: s.close()
for s in open_ones: s.close()
`
