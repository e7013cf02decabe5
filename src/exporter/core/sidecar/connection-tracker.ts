/** From what happens to sockets to connections: whose they are, between whom, how long each part took, what they came to. */
import type { ConnectionEvent, ConnectionStep } from '../decode-connection-event.ts'
import { containerOf, isOwnAddress, type ConnectedPod } from './pod.ts'

/** Between whom a connection is, seen from the end that this is. */
export type Leg =
  | 'caller to pod'
  | 'pod to peer'
  | 'within the pod'
  | 'caller to sidecar'
  | 'caller to service'
  | 'sidecar to service'
  | 'service to sidecar'
  | 'sidecar to peer'
  | 'service to peer'

/** One end of a connection. Times are CLOCK_MONOTONIC nanoseconds; undefined: it was not seen, or has not come. */
export interface Connection {
  /** Undefined: it stood before it was looked at. */
  readonly direction: 'inbound' | 'outbound' | undefined
  readonly leg: Leg | undefined
  /** Name; empty where it is not known. */
  readonly container: string
  readonly pid: number
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  /** The first sign of it. */
  readonly seenNs: number
  /** When its establishment began: the connect; of an inbound one, the answer to the caller. */
  readonly beganNs: number | undefined
  readonly stoodNs: number | undefined
  readonly endingNs: number | undefined
  readonly endedBy: 'pod' | 'peer' | undefined
  readonly closedNs: number | undefined
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly retransmits: number
  readonly rttNs: number
  /** An errno; 0: none. */
  readonly error: number
}

/** Something that happened to a connection, and how the connection is now. */
export interface ConnectionChange {
  readonly step: ConnectionStep
  readonly atNs: number
  readonly socket: bigint
  readonly connection: Connection
}

/** Connections that are followed at a time; of more, the oldest are forgotten. */
const maxConnections = 65_536

export class ConnectionTracker {
  readonly #connections = new Map<bigint, Connection>()

  /** Those that are being opened, stand and are ending now, as far as they were seen to begin or to do anything. */
  states(): { opening: number; open: number; ending: number } {
    const states = { opening: 0, open: 0, ending: 0 }
    for (const { stoodNs, endingNs } of this.#connections.values())
      states[endingNs !== undefined ? 'ending' : stoodNs === undefined ? 'opening' : 'open'] += 1
    return states
  }

  /** Takes in an event; gives what has become of its connection. */
  add(event: ConnectionEvent, pod: ConnectedPod): ConnectionChange {
    const { step, socket, atNs } = event
    // A socket that begins anew is another connection at the same address: the end of the first was lost.
    const begins = step === 'connecting' || step === 'accepted'
    const before = begins ? undefined : this.#connections.get(socket)
    const connection = moved(before ?? begun(event, pod), event)
    if (step === 'closed' || step === 'failed') this.#connections.delete(socket)
    else {
      const [oldest] = this.#connections.size >= maxConnections ? this.#connections.keys() : []
      if (oldest !== undefined) this.#connections.delete(oldest)
      this.#connections.set(socket, connection)
    }
    return { step, atNs, socket, connection }
  }
}

function begun(event: ConnectionEvent, pod: ConnectedPod): Connection {
  const { step, cgroupId, atNs } = event
  const direction =
    step === 'accepted'
      ? ('inbound' as const)
      : ['connecting', 'connected', 'failed'].includes(step)
        ? ('outbound' as const)
        : undefined
  const container = containerOf(pod, cgroupId)
  return {
    ...{ direction, container: container?.name ?? '', pid: 0, seenNs: atNs },
    leg: direction && legOf(direction, container?.isSidecar === true, event.remoteAddress, pod),
    ...{ localAddress: '', localPort: 0, remoteAddress: '', remotePort: 0 },
    ...{
      beganNs: undefined,
      stoodNs: undefined,
      endingNs: undefined,
      endedBy: undefined,
      closedNs: undefined,
    },
    ...{ bytesReceived: 0, bytesSent: 0, retransmits: 0, rttNs: 0, error: 0 },
  }
}

function legOf(
  direction: 'inbound' | 'outbound',
  inSidecar: boolean,
  remote: string,
  pod: ConnectedPod,
): Leg {
  const isOwn = isOwnAddress(pod, remote)
  if (!pod.containers.some((container) => container.isSidecar))
    return isOwn ? 'within the pod' : direction === 'inbound' ? 'caller to pod' : 'pod to peer'
  if (direction === 'inbound') {
    if (isOwn) return inSidecar ? 'service to sidecar' : 'sidecar to service'
    return inSidecar ? 'caller to sidecar' : 'caller to service'
  }
  if (isOwn) return inSidecar ? 'sidecar to service' : 'service to sidecar'
  return inSidecar ? 'sidecar to peer' : 'service to peer'
}

function moved(before: Connection, event: ConnectionEvent): Connection {
  const { step, atNs, rttNs } = event
  const now = {
    ...before,
    ...{ remoteAddress: event.remoteAddress, remotePort: event.remotePort },
    localAddress: event.localAddress,
    // A closing socket has given its port back.
    localPort: event.localPort === 0 ? before.localPort : event.localPort,
    ...{ bytesReceived: event.bytesReceived, bytesSent: event.bytesSent, retransmits: event.retransmits },
    ...{ rttNs: rttNs === 0 ? before.rttNs : rttNs, error: event.error === 0 ? before.error : event.error },
    pid: event.pid === 0 ? before.pid : event.pid,
  }
  switch (step) {
    case 'connecting':
      return { ...now, beganNs: atNs }
    case 'connected':
      return { ...now, stoodNs: atNs }
    case 'accepted':
      // The kernel tells of it when the caller has answered: a round trip after the answer to the caller.
      return { ...now, beganNs: rttNs === 0 ? undefined : atNs - rttNs, stoodNs: atNs }
    case 'ending':
    case 'peer_ending':
      if (before.endingNs !== undefined) return now
      return { ...now, endingNs: atNs, endedBy: step === 'ending' ? 'pod' : 'peer' }
    case 'closed':
    case 'failed':
      return { ...now, closedNs: atNs }
  }
}
