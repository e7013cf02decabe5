/**
 * A program that opens and closes as many connections as one processor can: `node connection-storm.ts SECONDS`, in a
 * network namespace of its own. Each sends a few bytes both ways. Prints how many, the processor time that they took in seconds,
 * and the inode of its namespace.
 */
import { networkNamespace } from './network-namespace.ts'
import {
  accept,
  close,
  connected,
  listening,
  portOf,
  raiseLoopback,
  receive,
  send,
  sockType,
} from './raw-sockets.ts'

const own = '10.1.2.3'
const seconds = Number(process.argv[2])
raiseLoopback(own)
const server = listening(own)
const port = portOf(server)
const buffer = Buffer.alloc(16)
const hello = Buffer.from('hello')
let connections = 0
const cpuBefore = process.cpuUsage()
const startedAt = performance.now()
while (performance.now() - startedAt < seconds * 1_000) {
  for (let k = 0; k < 32; k += 1) {
    const client = connected(sockType.stream, own, port)
    const accepted = accept(server)
    send(client, hello)
    receive(accepted, buffer)
    send(accepted, hello)
    receive(client, buffer)
    // The side that listens closes first and keeps the TIME_WAIT, so that ports never run out.
    close(accepted)
    close(client)
    connections += 1
  }
}
const { user, system } = process.cpuUsage(cpuBefore)
const namespace = networkNamespace(process.pid)
console.log(JSON.stringify({ connections, cpuSeconds: (user + system) / 1e6, namespace }))
