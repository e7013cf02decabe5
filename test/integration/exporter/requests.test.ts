import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { TemporaryFolder } from '../../../lab/files.ts'
import { loadHttp } from '../../../lab/h2load.ts'
import { startApache, startEtcd, startNginx, startPython } from '../../../lab/http-servers.ts'
import { unpacked } from '../../../lab/needs.ts'
import { run } from '../../../lab/process.ts'
import { waitFor } from '../../../lab/wait.ts'
import { WatchedCgroup } from '../../../lab/watched-cgroup.ts'
import { median } from '../../../bench/result.ts'
import { describeWith } from '../../setup/needs.ts'
import { missedOnTheNode } from '../../support/bpf-programs.ts'
import { countedOf, openRequestReader, untilCounted } from '../../support/request-reader.ts'

const nodeServer = fileURLToPath(new URL('../../support/node-http-server.ts', import.meta.url))
const execute = promisify(execFile)

/** All at once on one connection. */
async function interleaved(base: string, paths: readonly string[]): Promise<void> {
  const session = connect(base)
  await Promise.all(
    paths.map(async (path) => {
      await once(session.request({ ':path': path }).resume(), 'close')
    }),
  )
  session.close()
  await once(session, 'close')
}

for (const hooks of ['socket', 'syscall'] as const) {
  describeWith(['root', 'bpf', 'nginx', 'curl'], `requests of nginx, seen by ${hooks} hooks`, () => {
    it('are counted one by one, with the status of its access log, and not those of another cgroup', async () => {
      await using folder = await TemporaryFolder.create('nginx')
      await using other = await TemporaryFolder.create('nginx')
      await using cgroup = await WatchedCgroup.create()
      await using elsewhere = await WatchedCgroup.create()
      using reader = openRequestReader({ nginx: cgroup }, { hooks })
      const nginx = await startNginx(cgroup, { folder: folder.path })
      await using _nginx = nginx.process
      const unwatched = await startNginx(elsewhere, { folder: other.path })
      await using _unwatched = unwatched.process
      const base = `http://127.0.0.1:${nginx.port}`

      await run('curl', [
        ...['-s', '-o', '/dev/null', `${base}/status/s[201-204]?token=secret`, `${base}/users/[1-30]/posts`],
      ])
      await run('curl', ['-s', '-I', `${base}/file/large`])
      await run('curl', ['-s', '-o', '/dev/null', `${base}/file/large`, `${base}/file/large`])
      await run('curl', ['-s', '-o', '/dev/null', '--http1.0', `${base}/old`])
      await run('curl', [
        '-s',
        '-o',
        '/dev/null',
        '-d',
        'x'.repeat(100_000),
        '-H',
        'Expect: 100-continue',
        `${base}/post`,
      ])
      await run('curl', [
        '-s',
        '-o',
        '/dev/null',
        '-T',
        nginx.accessLog,
        '-H',
        'Transfer-Encoding: chunked',
        `${base}/put/a`,
      ])
      await run('curl', ['-s', '-o', '/dev/null', `http://127.0.0.1:${unwatched.port}/unwatched`])

      await untilCounted(reader, {
        'nginx http_server GET /status/s201 201': 1,
        'nginx http_server GET /status/s202 200': 1,
        'nginx http_server GET /status/s203 200': 1,
        'nginx http_server GET /status/s204 204': 1,
        'nginx http_server GET /users/{number}/posts 200': 30,
        'nginx http_server HEAD /file/large 200': 1,
        'nginx http_server GET /file/large 200': 2,
        'nginx http_server GET /old 200': 1,
        'nginx http_server POST /post 200': 1,
        'nginx http_server PUT /put/a 200': 1,
      })
      expect(reader.read(false).lost).toBeLessThan(missedOnTheNode)
      const large = reader.read(false).series.find(({ labels }) => /GET.*large/.test(labels))
      expect(large?.responseBytes).toBe(2 * 300_000)
      await waitFor(
        'the access log',
        async () => (await readFile(nginx.accessLog, 'utf8')).trim().split('\n').length === 40,
      )
    })

    it('are sampled when nobody reads, and the next one of the connection counts for those left out', async () => {
      await using folder = await TemporaryFolder.create('nginx')
      await using cgroup = await WatchedCgroup.create()
      const nginx = await startNginx(cgroup, { folder: folder.path })
      await using _nginx = nginx.process
      using reader = openRequestReader({ nginx: cgroup }, { hooks, ringBytes: 524_288 })

      // Synchronous: the reader, in this thread, has no turn.
      execFileSync('curl', ['-s', '-o', '/dev/null', `http://127.0.0.1:${nginx.port}/[1-3000]`])

      const { sampledOut, lost } = reader.read(false)
      const count = countedOf(reader)['nginx http_server GET /{number} 200'] ?? 0
      expect(lost).toBeLessThan(missedOnTheNode)
      expect(sampledOut).toBeGreaterThan(1_000)
      // Those left out last still wait for the next one.
      expect(count).toBeLessThanOrEqual(3_000)
      expect(count).toBeGreaterThan(2_700)
    })

    it('are lost and told as lost when the buffer is full, and never paired wrongly', async () => {
      await using folder = await TemporaryFolder.create('nginx')
      await using cgroup = await WatchedCgroup.create()
      const nginx = await startNginx(cgroup, { folder: folder.path })
      await using _nginx = nginx.process
      using reader = openRequestReader({ nginx: cgroup }, { hooks, ringBytes: 65_536 })
      const base = `http://127.0.0.1:${nginx.port}`

      const filler = ['-H', `X-Filler: ${'f'.repeat(3_000)}`]
      for (let round = 0; round < 3; round += 1)
        execFileSync('curl', [
          '-s',
          '-o',
          '/dev/null',
          ...filler,
          `${base}/status/s404`,
          ...Array<string>(200).fill(`${base}/a`),
        ])

      await waitFor('one to be counted again, now that there is room', async () => {
        await run('curl', ['-s', '-o', '/dev/null', `${base}/after`])
        return countedOf(reader)['nginx http_server GET /after 200'] !== undefined
      })
      const counts = countedOf(reader)
      expect(Object.keys(counts).sort()).toEqual([
        ...['nginx http_server GET /a 200', 'nginx http_server GET /after 200'],
        'nginx http_server GET /status/s404 404',
      ])
      expect(reader.read(false).lost + reader.read(false).sampledOut).toBeGreaterThan(0)
      expect(counts['nginx http_server GET /a 200']).toBeLessThanOrEqual(600)
      expect(counts['nginx http_server GET /status/s404 404']).toBeLessThanOrEqual(3)
    })

    it('of a connection that stood before are counted when the programs are loaded anew', async () => {
      await using folder = await TemporaryFolder.create('nginx')
      await using cgroup = await WatchedCgroup.create()
      const nginx = await startNginx(cgroup, { folder: folder.path })
      await using _nginx = nginx.process
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const ask = async (path: string): Promise<void> => {
        const [response] = (await once(
          get({ port: nginx.port, host: '127.0.0.1', path, agent }),
          'response',
        )) as [IncomingMessage]
        await once(response.resume(), 'end')
      }

      await ask('/before')
      for (const path of ['/first', '/second']) {
        using reader = openRequestReader({ nginx: cgroup }, { hooks })
        await ask(path)
        await untilCounted(reader, { [`nginx http_server GET ${path} 200`]: 1 })
      }
      agent.destroy()
    })

    it('are counted on HTTP/2 without TLS, streams interleaved', async () => {
      await using folder = await TemporaryFolder.create('nginx')
      await using cgroup = await WatchedCgroup.create()
      using reader = openRequestReader({ nginx: cgroup }, { hooks })
      const nginx = await startNginx(cgroup, { folder: folder.path, http2: true })
      await using _nginx = nginx.process
      const base = `http://127.0.0.1:${nginx.port}`

      const urls = [`${base}/status/s403`, `${base}/status/s404`, `${base}/file/large`]
      await interleaved(
        base,
        Array.from({ length: 40 }, (_item, index) => `/items/${index}`),
      )
      for (const url of urls) await run('curl', ['-s', '--http2-prior-knowledge', '-o', '/dev/null', url])

      await untilCounted(reader, {
        'nginx http_server GET /status/s403 403': 1,
        'nginx http_server GET /status/s404 404': 1,
        'nginx http_server GET /items/{number} 200': 40,
        'nginx http_server GET /file/large 200': 1,
      })
    })
  })

  describeWith(['root', 'bpf', 'nginx', 'h2load'], `requests of a load, seen by ${hooks} hooks`, () => {
    it('of 1,000 a second are all counted, with the status of the access log', async () => {
      await using folder = await TemporaryFolder.create('nginx')
      await using cgroup = await WatchedCgroup.create()
      using reader = openRequestReader({ nginx: cgroup }, { hooks })
      const nginx = await startNginx(cgroup, { folder: folder.path })
      await using _nginx = nginx.process

      // None after which nginx closes the connection, as after 500: what is asked meanwhile has no answer, and no line in the log.
      const paths = ['/', '/status/s201', '/status/s404', '/status/s503', '/users/1/posts']
      const { done } = await loadHttp(nginx.port, { requestsPerSecond: 1_000, seconds: 10, paths })

      expect(done).toBe(10_000)
      await waitFor('all of the access log to be counted', async () => {
        const expected: Record<string, number> = {}
        for (const line of (await readFile(nginx.accessLog, 'utf8')).trim().split('\n')) {
          const [status = '', method = '', path = ''] = line.split(' ')
          const key = `nginx http_server ${method} ${path.replace('/users/1/', '/users/{number}/')} ${status}`
          expected[key] = (expected[key] ?? 0) + 1
        }
        const counted = countedOf(reader)
        expect(counted).toEqual(expected)
        expect(Object.keys(counted)).toHaveLength(5)
        return Object.values(counted).reduce((sum, value) => sum + value, 0) >= done
      })
      const { lost, sampledOut } = reader.read(false)
      expect(lost).toBeLessThan(missedOnTheNode)
      expect(sampledOut).toBe(0)
    })
  })

  describeWith(['root', 'bpf', 'apache'], `requests of Apache, seen by ${hooks} hooks`, () => {
    it('take as long as its log says, at the median: the tail is for the benchmark, alone on a machine', async () => {
      await using folder = await TemporaryFolder.create('apache')
      await using cgroup = await WatchedCgroup.create()
      const apache = await startApache(cgroup, folder.path)
      await using _apache = apache.process
      const ours: number[] = []
      using reader = openRequestReader(
        { apache: cgroup },
        { hooks, onExchange: (_owner, { startNs, endNs }) => ours.push((endNs - startNs) / 1e3) },
      )
      for (let index = 0; index < 1_000; index += 1)
        await (
          await fetch(`http://127.0.0.1:${apache.port}/${index % 4 === 0 ? 'file' : 'missing'}`)
        ).arrayBuffer()
      const logged = await waitFor('the access log', async () => {
        const lines = (await readFile(apache.accessLog, 'utf8')).trim().split('\n')
        return lines.length === 1_000 && lines.map((line) => Number(line.split(' ')[0]))
      })
      await untilCounted(reader, {
        'apache http_server GET /file 200': 250,
        'apache http_server GET /missing 404': 750,
      })
      const [actual, expected] = [median(ours), median(logged)]
      expect(Math.abs(actual - expected)).toBeLessThan(Math.max(100, expected / 10))
    })
  })

  describeWith(['root', 'bpf', 'etcd'], `requests of etcd, seen by ${hooks} hooks`, () => {
    it('are counted as gRPC calls and as HTTP, on both ends', async () => {
      await using folder = await TemporaryFolder.create('etcd')
      await using cgroup = await WatchedCgroup.create()
      await using clients = await WatchedCgroup.create()
      const etcd = await startEtcd(cgroup, folder.path)
      await using _etcd = etcd.process
      using reader = openRequestReader({ etcd: cgroup, client: clients }, { hooks })
      const etcdctl = join(await unpacked('etcd'), 'usr/bin/etcdctl')
      const call = async (...args: string[]): Promise<void> => {
        const process = await clients.start(
          'etcdctl',
          etcdctl,
          ['--endpoints', `127.0.0.1:${etcd.port}`, ...args],
          {
            env: { ETCDCTL_API: '3' },
          },
        )
        await process.exited
      }

      await call('put', 'key', 'value'.repeat(2_000))
      await call('get', 'key')
      await call('get', 'key')
      await call('lease', 'revoke', '1234')
      const response = await fetch(`http://127.0.0.1:${etcd.port}/version`)
      await response.text()

      await waitFor('the calls to be counted', () => {
        expect(countedOf(reader)).toMatchObject({
          'etcd rpc_server etcdserverpb.KV/Put OK': 1,
          'etcd rpc_server etcdserverpb.KV/Range OK': 2,
          'etcd rpc_server etcdserverpb.Lease/LeaseRevoke NOT_FOUND': 1,
          'client rpc_client etcdserverpb.KV/Put OK': 1,
          'client rpc_client etcdserverpb.KV/Range OK': 2,
          'client rpc_client etcdserverpb.Lease/LeaseRevoke NOT_FOUND': 1,
          'etcd http_server GET /version 200': 1,
        })
        return true
      })
    })
  })

  describeWith(
    ['root', 'bpf', 'curl', 'python3'],
    `requests of Python and Node.js, seen by ${hooks} hooks`,
    () => {
      it('are counted, of the server and of the client', async () => {
        await using folder = await TemporaryFolder.create('python')
        await writeFile(join(folder.path, 'page.html'), 'page')
        await using cgroup = await WatchedCgroup.create()
        await using clients = await WatchedCgroup.create()
        using reader = openRequestReader({ python: cgroup, curl: clients }, { hooks })
        const python = await startPython(cgroup, folder.path)
        await using _python = python.process
        const base = `http://127.0.0.1:${python.port}`

        const curl = await clients.start('curl', 'curl', [
          '-s',
          '-o',
          '/dev/null',
          `${base}/page.html`,
          `${base}/missing`,
        ])
        await curl.exited

        await untilCounted(reader, {
          'python http_server GET /page.html 200': 1,
          'python http_server GET /missing 404': 1,
          'curl http_client GET /page.html 200': 1,
          'curl http_client GET /missing 404': 1,
        })
      })

      it('are counted through every framing, cut into small sends, and when the server dies', async () => {
        await using cgroup = await WatchedCgroup.create()
        using reader = openRequestReader({ node: cgroup }, { hooks })
        const server = await cgroup.start('node', process.execPath, [nodeServer])
        await using _server = server
        const port = await waitFor('the port', () => /port (\d+)/.exec(server.stdout)?.[1])
        const base = `http://127.0.0.1:${port}`

        await execute('python3', ['-c', pythonClient, port])
        await run('curl', ['-s', '-o', '/dev/null', `${base}/chunked`, `${base}/dribble`, `${base}/close`])
        await run('curl', ['-s', '-o', '/dev/null', '-H', `Cookie: ${'c'.repeat(9_000)}`, `${base}/cookies`])
        const died = run('curl', ['-s', '-o', '/dev/null', `${base}/die`]).catch(() => undefined)
        await died

        await untilCounted(reader, {
          'node http_server GET /slow-head 200': 1,
          'node http_server GET /pipelined/a 200': 1,
          'node http_server GET /pipelined/b 200': 1,
          'node http_server GET /chunked 200': 1,
          'node http_server GET /dribble 200': 1,
          'node http_server GET /close 200': 1,
          'node http_server GET /cookies 200': 1,
          'node http_server GET /die ': 1,
        })
      })
    },
  )
}

/** Sends a head byte by byte, then two requests in one send through sendmsg with vectors, then noise and half a request. */
const pythonClient = `
import socket, sys
def connect():
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); return s
def read(s, times):
    data = b''
    while data.count(b'done') < times: data += s.recv(4096)
s = connect()
for byte in b'GET /slow-head HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n': s.sendall(bytes([byte]))
read(s, 1)
s.sendmsg([b'GET /pipelined/a HTTP/1.1\\r\\n', b'Host: a\\r\\n\\r\\nGET /pipe', b'lined/b HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'])
read(s, 2)
s.close()
n = connect(); n.sendall(bytes(range(256)) * 10); n.close()
h = connect(); h.sendall(b'GET /half HTTP/1.1\\r\\nHost'); h.close()
`
