/**
 * A program that holds sockets until it is ended: `node socket-holder.ts states`, or
 * `node socket-holder.ts connections COUNT PORTS PID…`, or `node socket-holder.ts lives TIMED-OUT`, or `node socket-holder.ts losses`, or
 * `node socket-holder.ts ended COUNT`. Prints `ready` once they stand.
 *
 * `states`: one of each kind that can be held still, in the network namespace that it was started in (a new one).
 * `connections`: in the namespace of each process, COUNT connections from its own address to itself, so twice as many
 * sockets, and PORTS that they go to.
 * `ended`: COUNT sockets in TIME_WAIT, or as many of them as the kernel keeps.
 * `lives`: connections begin, fare and end in every way; `lives` of network-namespace.ts says how many, but for
 * those that are never answered.
 * `losses`: segments that are lost, and sent again.
 */
import { readFileSync } from 'node:fs'
import { lives } from './network-namespace.ts'
import {
  accept,
  attempt,
  bound,
  busily,
  close,
  connected,
  connectTo,
  dropIncoming,
  enterNetworkOf,
  listening,
  listeningNonblock,
  portOf,
  raiseLoopback,
  receive,
  receiveNow,
  send,
  sendAll,
  setOption,
  shutdownWrites,
  sockType,
  unconnected,
} from './raw-sockets.ts'

const own = '10.1.2.3'
const { stream, dgram, nonblock } = sockType

function holdStates(): void {
  raiseLoopback(own)
  for (const address of [own, '127.0.0.1', '::1']) {
    const server = listening(address)
    const connect = (): [client: number, server: number] => {
      const client = connected(stream, address, portOf(server))
      return [client, accept(server)]
    }
    const [chatty] = connect() // ESTABLISHED, the server's side with bytes unread
    send(chatty, Buffer.from('unread'))
    const [closing] = connect() // FIN_WAIT2 and CLOSE_WAIT
    shutdownWrites(closing)
    close(connect()[0]) // FIN_WAIT2 without an owner, and CLOSE_WAIT
    const [first, second] = connect() // TIME_WAIT
    close(first)
    close(second)
    const [full] = connect() // ESTABLISHED, bytes that the peer has no room for
    fill(full)

    const [leaving] = connect() // FIN_WAIT1: its FIN waits behind bytes that the peer has no room for
    fill(leaving)
    shutdownWrites(leaving)
    const [left, last] = connect() // LAST_ACK, the same after the peer's own FIN
    shutdownWrites(left)
    fill(last)
    shutdownWrites(last)
    const [both, other] = connect() // CLOSING: the peer's FIN comes while its own waits
    fill(both)
    shutdownWrites(both)
    shutdownWrites(other)

    const deaf = listening(address, 0, 0) // takes one, and answers no other
    connected(stream, address, portOf(deaf))
    connected(stream | nonblock, address, portOf(deaf)) // SYN_SENT

    const queue = listening(address, 0, 16) // LISTEN with three that wait
    for (let k = 0; k < 3; k += 1) connected(stream, address, portOf(queue))

    const deferring = listening(address) // NEW_SYN_RECV: accepted only once there is data
    setOption(deferring, 'deferAccept', 60)
    connected(stream, address, portOf(deferring))

    const datagrams = bound(dgram, address)
    setOption(datagrams, 'receiveBuffer', 4096)
    const sender = connected(dgram, address, portOf(datagrams))
    for (let k = 0; k < 20; k += 1) send(sender, Buffer.alloc(900)) // some wait, some are dropped
  }
  const dualStack = listening('::')
  connected(stream, own, portOf(dualStack)) // its other side is IPv6-mapped
  accept(dualStack)
  connected(stream | nonblock, own, 9) // refused: leaves nothing
  const many = listening('0.0.0.0', 0, 8192) // a chain longer than most
  for (let k = 0; k < 300; k += 1) connected(stream, '127.0.0.1', portOf(many))
}

/** Sends until the peer has no room for more. */
function fill(fd: number): void {
  while (send(fd, Buffer.alloc(65_536)) > 0);
}

function live(timedOut: number): void {
  raiseLoopback(own)
  const server = listening(own)
  const send1000 = (): [client: number, server: number] => {
    const client = connected(stream, own, portOf(server))
    const accepted = accept(server)
    send(client, Buffer.alloc(lives.bytesEach))
    receive(accepted, Buffer.alloc(lives.bytesEach))
    return [client, accepted]
  }
  for (let k = 0; k < lives.ended; k += 1) send1000().forEach(close)
  for (let k = 0; k < lives.reset; k += 1) {
    const [client, accepted] = send1000()
    setOption(client, 'linger', 1, 0)
    close(client)
    close(accepted)
  }
  for (let k = 0; k < lives.refused; k += 1) close(connected(stream | nonblock, own, 9))
  const full = listening('127.0.0.1', 0, 0) // takes one, and answers no other
  connected(stream, '127.0.0.1', portOf(full))
  for (let k = 0; k < lives.abandoned; k += 1) close(connected(stream | nonblock, '127.0.0.1', portOf(full)))
  for (let k = 0; k < timedOut; k += 1) {
    const client = unconnected(stream | nonblock)
    setOption(client, 'synRetries', 1)
    try {
      busily(() => attempt(() => connectTo(client, '127.0.0.1', portOf(full))))
    } catch {
      close(client)
    }
  }
  for (let k = 0; k < lives.open; k += 1) send1000()
}

/** Loses segments that are sent again: of data, several in a packet, and a listener's answer. */
function lose(): void {
  raiseLoopback(own)
  const server = listening(own)
  const client = unconnected(stream)
  setOption(client, 'maxSegment', 1000)
  connectTo(client, own, portOf(server))
  const accepted = accept(server)
  const data = Buffer.alloc(50_000)
  dropIncoming(accepted, true)
  sendAll(client, data)
  busily(() => resentSegments() > 0 || undefined)
  dropIncoming(accepted, false)
  for (let left = data.length; left > 0; left -= busily(() => attempt(() => receiveNow(accepted, data))));

  const deferring = listeningNonblock(own)
  setOption(deferring, 'deferAccept', 1) // its answer is sent again when no data came for a second
  connected(stream, own, portOf(deferring))
  busily(() => attempt(() => accept(deferring)))
}

/** Of the namespace that this process is in. Source: proc_pid_net(5), snmp. */
function resentSegments(): number {
  const [names = [], values = []] = readFileSync('/proc/self/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '))
  return Number(values[names.indexOf('RetransSegs')])
}

/** Connections that have ended. The listening side keeps the TIME_WAIT: a port that a client takes again ends the one before. */
function holdEnded(count: number): void {
  raiseLoopback(own)
  const perPort = 2_000 // of 28,000 that a client has: one in thirty is taken again
  for (let made = 0; made < count;) {
    const server = listening(own)
    for (let k = 0; k < perPort && made < count; k += 1, made += 1) {
      const client = connected(stream, own, portOf(server))
      close(accept(server))
      close(client)
    }
    close(server)
  }
}

/** A listener on the first port from `first` on that no other holder has in this namespace. */
function freeServer(first: number): number {
  for (let port = first; ; port += 1) {
    try {
      return listening(own, port)
    } catch (error) {
      if (!(error instanceof Error && error.message.includes('EADDRINUSE'))) throw error
    }
  }
}

function holdConnections(count: number, ports: number, pids: readonly number[]): void {
  for (const pid of pids) {
    enterNetworkOf(pid)
    raiseLoopback(own)
    const servers: number[] = []
    for (let port = 9000; servers.length < ports; port += 1) {
      const server = freeServer(port)
      servers.push(server)
      port = portOf(server)
    }
    for (let k = 0; k < count; k += 1) {
      const server = servers[k % ports]
      if (server === undefined) continue
      connected(stream, own, portOf(server))
      accept(server)
    }
  }
}

const [what, ...rest] = process.argv.slice(2)
const [count = 0, ports = 0, ...pids] = rest.map(Number)
if (what === 'states') holdStates()
else if (what === 'connections') holdConnections(count, ports, pids)
else if (what === 'ended') holdEnded(count)
else if (what === 'lives') live(count)
else if (what === 'losses') lose()
else
  throw new Error(
    `expected "states", "connections", "ended", "lives" or "losses", got ${JSON.stringify(what)}`,
  )
console.log('ready')
setInterval(() => undefined, 1 << 30)
