/**
 * `nsenter --net=… node udp-sender.ts HOST PORT SIZE COUNT`: sends COUNT datagrams from port 45678 of wherever it runs. Each has
 * its number in four bytes, and that many more to be SIZE long.
 */
import { createSocket } from 'node:dgram'

const [host = '', port = '', size = '', count = ''] = process.argv.slice(2)
const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
await new Promise<void>((resolve) => socket.bind(45_678, resolve))
for (let number = 0; number < Number(count); number += 1) {
  const datagram = Buffer.alloc(Number(size), number)
  datagram.writeUInt32BE(number)
  await new Promise((resolve, reject) => {
    socket.send(datagram, Number(port), host, (error, bytes) => {
      if (error === null) resolve(bytes)
      else reject(error)
    })
  })
}
socket.close()
