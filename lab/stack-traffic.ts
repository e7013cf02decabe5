/**
 * Traffic over loopback, for a network namespace of its own: `node stack-traffic.ts datagrams COUNT`, each of which is read
 * before the next is sent, small and large ones in turn; or `node stack-traffic.ts late-reader`: a stream of which nothing is
 * read until it has no more room, and then all. Prints how many bytes were read.
 */
import {
  accept,
  bound,
  connected,
  listening,
  portOf,
  raiseLoopback,
  receive,
  send,
  shutdownWrites,
  sockType,
} from './raw-sockets.ts'

const own = '10.1.2.3'
const [what = '', count = '0'] = process.argv.slice(2)
const room = Buffer.alloc(65_536)
raiseLoopback(own)
console.log(what === 'datagrams' ? readDatagrams(Number(count)) : readLate())

function readDatagrams(datagrams: number): number {
  const reader = bound(sockType.dgram, own)
  const sender = connected(sockType.dgram, own, portOf(reader))
  let bytes = 0
  for (let number = 0; number < datagrams; number += 1) {
    send(sender, room.subarray(0, number % 2 === 0 ? 100 : 40_000))
    bytes += receive(reader, room)
  }
  return bytes
}

function readLate(): number {
  const server = listening(own)
  const sender = connected(sockType.stream, own, portOf(server))
  const reader = accept(server)
  while (send(sender, room) > 0);
  shutdownWrites(sender)
  let bytes = 0
  for (let read = receive(reader, room); read > 0; read = receive(reader, room)) bytes += read
  return bytes
}
