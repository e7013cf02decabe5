/**
 * A program for pods of the lab that holds TCP and UDP sockets in known states until it is ended:
 * `node pod-sockets.ts JSON`, the JSON being a {@link SocketPlan}. Prints `ready` once they stand.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** What to hold. */
export interface SocketPlan {
  /** Servers that keep what they accept, and never close their side first. */
  readonly listen?: readonly Listener[]
  /** Numbers of UDP sockets bound to all IPv4 and all IPv6 addresses. */
  readonly udp?: { readonly v4: number; readonly v6: number }
  /** Connections to others. */
  readonly connect?: readonly Connections[]
}

export interface Listener {
  /** `0.0.0.0`, or `::` for IPv6 only. */
  readonly host: string
  readonly port: number
  /** Close as soon as the peer does, so that the peer gets a TIME_WAIT. Else the peer's end leaves a CLOSE_WAIT here. */
  readonly close?: boolean
}

export interface Connections {
  readonly host: string
  readonly port: number
  /** Connections that stay ESTABLISHED. */
  readonly established?: number
  /** Connections whose sending side is shut: FIN_WAIT2 here, CLOSE_WAIT there. */
  readonly halfClosed?: number
  /** Connections that are ended, to a listener with `close`: TIME_WAIT here. */
  readonly ended?: number
}

const held: unknown[] = []

async function hold({ listen = [], udp = { v4: 0, v6: 0 }, connect: peers = [] }: SocketPlan): Promise<void> {
  for (const { host, port, close = false } of listen) {
    const server = createServer({ allowHalfOpen: !close }, (socket) => {
      held.push(socket)
      socket.on('error', () => undefined).resume()
    })
    server.listen({ host, port, ipv6Only: host === '::' })
    await once(server, 'listening')
    held.push(server)
  }
  for (const [type, count] of [['udp4', udp.v4] as const, ['udp6', udp.v6] as const])
    for (let k = 0; k < count; k += 1) {
      const socket = createSocket({ type, ipv6Only: type === 'udp6' })
      socket.bind(0)
      await once(socket, 'listening')
      held.push(socket)
    }
  for (const { host, port, established = 0, halfClosed = 0, ended = 0 } of peers) {
    for (let k = 0; k < established; k += 1) held.push(await connected(host, port))
    for (let k = 0; k < halfClosed; k += 1) held.push((await connected(host, port)).end())
    for (let k = 0; k < ended; k += 1) {
      const socket = await connected(host, port)
      socket.end().resume()
      await once(socket, 'close')
    }
  }
  console.log('ready')
  setInterval(() => held.length, 1 << 30)
}

/** Tries until the peer listens; a new pod's IPv6 address also takes a second until it may be used. */
async function connected(host: string, port: number): Promise<Socket> {
  for (;;) {
    const socket = connect({ host, port, allowHalfOpen: true })
    try {
      await once(socket, 'connect')
      return socket
    } catch {
      socket.destroy()
      await delay(100)
    }
  }
}

await hold(JSON.parse(process.argv[2] ?? '{}') as SocketPlan)
