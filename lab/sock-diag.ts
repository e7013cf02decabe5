/**
 * A program that asks the kernel for the TCP sockets of network namespaces by sock_diag(7), one after the other:
 * `node sock-diag.ts PID…`. Prints the number of sockets and the milliseconds that it took, without its own start.
 */
import { enterNetworkOf, netlink, receive, sendAll } from './raw-sockets.ts'

/** SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, NLMSG_DONE, TCP. */
const message = { byFamily: 20, flags: 0x301, done: 3, tcp: 6 } as const
const buffer = Buffer.alloc(1 << 16)

/** struct nlmsghdr and struct inet_diag_req_v2 for all states of a family. */
function request(family: number): Buffer {
  const bytes = Buffer.alloc(72)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(message.byFamily, 4)
  bytes.writeUInt16LE(message.flags, 6)
  bytes.writeUInt8(family, 16)
  bytes.writeUInt8(message.tcp, 17)
  bytes.writeUInt32LE(0xffff_ffff, 20)
  return bytes
}

function countSockets(fd: number, family: number): number {
  sendAll(fd, request(family))
  for (let sockets = 0; ;) {
    const length = receive(fd, buffer)
    for (let at = 0; at < length; at += (buffer.readUInt32LE(at) + 3) & ~3) {
      if (buffer.readUInt16LE(at + 4) === message.done) return sockets
      sockets += 1
    }
  }
}

const startedAt = performance.now()
let sockets = 0
for (const pid of process.argv.slice(2).map(Number)) {
  enterNetworkOf(pid)
  const fd = netlink()
  sockets += countSockets(fd.number, 2) + countSockets(fd.number, 10)
  fd[Symbol.dispose]()
}
console.log(JSON.stringify({ sockets, wallMs: performance.now() - startedAt }))
