import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { waitFor } from '../../../lab/wait.ts'
import { WatchedCgroup } from '../../../lab/watched-cgroup.ts'
import { describeWith } from '../../setup/needs.ts'
import { openRequestReader, untilCounted } from '../../support/request-reader.ts'

const execute = promisify(execFile)

/** Lengths of heads on both sides of what is captured one way or another. */
const heads = [120, 255, 256, 257, 511, 512, 513, 600, 3_000]
const bodies = [0, 60, 5_000]
const vectors = [1, 2, 3]

for (const hooks of ['socket', 'syscall'] as const) {
  describeWith(['root', 'bpf', 'python3'], `responses in several vectors, seen by ${hooks} hooks`, () => {
    it('have the status of their head and the length of their body, whatever the body looks like', async () => {
      await using cgroup = await WatchedCgroup.create()
      using reader = openRequestReader({ python: cgroup }, { hooks })
      const server = await cgroup.start('vectors', 'python3', ['-c', vectorServer])
      await using _server = server
      const port = await waitFor('the port', () => /port (\d+)/.exec(server.stdout)?.[1])
      const paths = heads.flatMap((head) =>
        bodies.flatMap((body) => vectors.map((count) => `/head/${head}/${body}/${count}`)),
      )

      await execute('python3', ['-c', client, port, ...paths])

      await untilCounted(reader, {
        'python http_server GET /head/{number}/{number}/{number} 201': paths.length,
      })
      const [series] = reader.read(false).series
      const sent = bodies.reduce((sum, body) => sum + body, 0) * heads.length * vectors.length
      expect(series?.responseBytes).toBe(sent)
    })
  })
}

/** Answers `/head/H/B/N` with a head of H bytes and a body of B, which looks like another response, by one send of N vectors. */
const vectorServer = `
import re, socket
listener = socket.create_server(('127.0.0.1', 0))
print('port', listener.getsockname()[1], flush=True)
s, _ = listener.accept()
data = b''
while True:
    got = s.recv(65536)
    if not got: break
    data += got
    if not data.endswith(b'\\r\\n\\r\\n'): continue
    head_bytes, body_bytes, count = map(int, re.search(rb'/head/(\\d+)/(\\d+)/(\\d+) ', data).groups())
    data = b''
    start = b'HTTP/1.1 201 Created\\r\\nContent-Length: %d\\r\\nX-Filler: ' % body_bytes
    head = start + b'f' * (head_bytes - len(start) - 4) + b'\\r\\n\\r\\n'
    body = (b'HTTP/1.1 500 Wrong\\r\\nContent-Length: 0\\r\\n\\r\\n' * 200)[:body_bytes]
    assert len(head) == head_bytes
    parts = {1: [head + body], 2: [head, body], 3: [head[:70], head[70:], body]}[count]
    assert s.sendmsg(parts) == len(head) + len(body)
`

/** Asks for each path on one connection, one after another. */
const client = `
import http.client, sys
connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))
for path in sys.argv[2:]:
    connection.request('GET', path)
    response = connection.getresponse()
    assert response.status == 201
    response.read()
`
