/** Requests at an even pace, each with a `traceparent` of its own: by it, what two onlookers saw of a request can be joined. */
import { run } from './process.ts'

export interface PacedOptions {
  readonly requestsPerSecond: number
  readonly seconds: number
  /** Asked for in turn. Their responses have a Content-Length. */
  readonly paths: readonly string[]
}

/** Eight connections in turn, one request at a time. On the last processor, as h2load.ts does. */
const client = `
import socket, sys, time
port, rate, count, paths = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
connections = [socket.create_connection(('127.0.0.1', port)) for _ in range(8)]
for connection in connections: connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
due = time.monotonic()
for index in range(count):
    connection = connections[index % 8]
    trace = b'00-%032x-%016x-00' % (index + 1, index + 1)
    connection.sendall(b'GET %s HTTP/1.1\\r\\nHost: lab\\r\\ntraceparent: %s\\r\\n\\r\\n' % (paths[index % len(paths)].encode(), trace))
    head = b''
    while b'\\r\\n\\r\\n' not in head: head += connection.recv(65536)
    head, body = head.split(b'\\r\\n\\r\\n', 1)
    left = int(head.lower().split(b'content-length:')[1].split(b'\\r\\n')[0]) - len(body)
    while left > 0: left -= len(connection.recv(min(left, 65536)))
    due = max(due + 1 / rate, time.monotonic() - 0.01)
    time.sleep(max(0, due - time.monotonic()))
`

/** @returns how many requests were answered: all of them */
export async function pacedRequests(
  port: number,
  { requestsPerSecond, seconds, paths }: PacedOptions,
): Promise<number> {
  const count = requestsPerSecond * seconds
  const args = [port, requestsPerSecond, count, ...paths].map(String)
  await run('taskset', ['-c', '1', 'python3', '-c', client, ...args])
  return count
}
