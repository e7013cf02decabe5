/** What has been seen of a pod, counted: the whole time, and since the last look. */
import type { Exchange } from '../../exporter/core/requests/exchange.ts'
import type { ConnectionChange } from '../../exporter/core/sidecar/connection-tracker.ts'
import { Quantiles } from './quantiles.ts'

/** A count, and what it was when rates were last taken. */
export class Rate {
  total = 0
  perSecond = 0
  #before = 0

  take(seconds: number): void {
    this.perSecond = seconds > 0 ? (this.total - this.#before) / seconds : 0
    this.#before = this.total
  }
}

/** Requests of one kind. */
export class RequestFigures {
  readonly requests = new Rate()
  readonly failed = new Rate()
  readonly times = new Quantiles()
  /** By status, or gRPC's code; empty: no response. */
  readonly statuses = new Map<string, number>()
  readonly paths = new Map<string, PathFigures>()
}

export interface PathFigures {
  count: number
  failed: number
  readonly times: Quantiles
}

export type RequestKind = 'http served' | 'http made' | 'grpc served' | 'grpc made'

/** Whom the pod talks to. */
export interface PeerFigures {
  connections: number
  failed: number
  bytesReceived: number
  bytesSent: number
}

/** Paths and peers that are told apart at most; more of them are one, `~other`. */
const maxNames = 500
const other = '~other'

export class Summary {
  readonly #startedAtMs: number
  #lookedAtMs: number
  readonly opened = { inbound: new Rate(), outbound: new Rate() }
  readonly failed = new Rate()
  readonly closed = new Rate()
  readonly retransmits = new Rate()
  /** Of connections that have ended. */
  readonly received = new Rate()
  readonly sent = new Rate()
  readonly connectTimes = new Quantiles()
  readonly lifetimes = new Quantiles()
  readonly peers = new Map<string, PeerFigures>()
  readonly requests = new Map<RequestKind, RequestFigures>()

  /** @param nowMs of any steady clock */
  constructor(nowMs: number) {
    this.#startedAtMs = this.#lookedAtMs = nowMs
  }

  secondsSince(nowMs: number): number {
    return (nowMs - this.#startedAtMs) / 1_000
  }

  addConnection({ step, connection }: ConnectionChange): void {
    const { direction, beganNs, stoodNs, closedNs, remoteAddress, remotePort } = connection
    // The caller's port says nothing about it.
    const peer = direction === 'outbound' ? joinAddress(remoteAddress, remotePort) : remoteAddress
    switch (step) {
      case 'accepted':
        this.opened.inbound.total += 1
        this.#peer(peer).connections += 1
        break
      case 'connected':
        this.opened.outbound.total += 1
        if (beganNs !== undefined && stoodNs !== undefined) this.connectTimes.add(stoodNs - beganNs)
        this.#peer(peer).connections += 1
        break
      case 'failed':
        this.failed.total += 1
        this.#peer(peer).failed += 1
        break
      case 'closed': {
        const { bytesReceived, bytesSent, retransmits } = connection
        this.closed.total += 1
        this.received.total += bytesReceived
        this.sent.total += bytesSent
        this.retransmits.total += retransmits
        if (stoodNs !== undefined && closedNs !== undefined) this.lifetimes.add(closedNs - stoodNs)
        const figures = this.#peer(peer)
        figures.bytesReceived += bytesReceived
        figures.bytesSent += bytesSent
        break
      }
      default:
    }
  }

  addExchange(exchange: Exchange): void {
    const { weight } = exchange
    const kind = kindOf(exchange)
    const figures = this.requests.get(kind) ?? new RequestFigures()
    this.requests.set(kind, figures)
    const failed = isFailed(exchange) ? weight : 0
    const ns = exchange.endNs - exchange.startNs
    figures.requests.total += weight
    figures.failed.total += failed
    figures.times.add(ns, weight)
    const status = statusOf(exchange)
    figures.statuses.set(status, (figures.statuses.get(status) ?? 0) + weight)
    const path = bounded(figures.paths, pathOf(exchange), () => ({
      count: 0,
      failed: 0,
      times: new Quantiles(),
    }))
    path.count += weight
    path.failed += failed
    path.times.add(ns, weight)
  }

  /** Makes rates of what was counted since the last call. */
  look(nowMs: number): void {
    const seconds = (nowMs - this.#lookedAtMs) / 1_000
    this.#lookedAtMs = nowMs
    const { opened, failed, closed, retransmits, received, sent, requests } = this
    const ofRequests = [...requests.values()].flatMap((one) => [one.requests, one.failed])
    for (const rate of [
      opened.inbound,
      opened.outbound,
      failed,
      closed,
      retransmits,
      received,
      sent,
      ...ofRequests,
    ])
      rate.take(seconds)
  }

  #peer(name: string): PeerFigures {
    const none = (): PeerFigures => ({ connections: 0, failed: 0, bytesReceived: 0, bytesSent: 0 })
    return bounded(this.peers, name, none)
  }
}

function bounded<T>(map: Map<string, T>, name: string, make: () => T): T {
  const key = map.has(name) || map.size < maxNames ? name : other
  const found = map.get(key) ?? make()
  map.set(key, found)
  return found
}

export function kindOf({ grpc, side }: Exchange): RequestKind {
  return `${grpc === undefined ? 'http' : 'grpc'} ${side === 'server' ? 'served' : 'made'}`
}

/** As people count failures: a server's 4xx is the caller's, but worth seeing, so it counts here. */
function isFailed({ grpc, status }: Exchange): boolean {
  return grpc === undefined ? status === undefined || status >= 400 : grpc.status !== 'OK'
}

/** The status as text; `-` when no response was seen. */
export function statusOf({ grpc, status }: Exchange): string {
  return grpc?.status ?? (status === undefined ? '-' : String(status))
}

/** Method and path template, or gRPC's method. */
export function pathOf({ grpc, method, route }: Exchange): string {
  return grpc === undefined ? `${method} ${route ?? '~unknown'}` : (grpc.method ?? '~unknown')
}

/** An address with its port, IPv6 in brackets. */
export function joinAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** The names with the highest figures, highest first. */
export function highest<T>(
  map: ReadonlyMap<string, T>,
  figure: (value: T) => number,
  limit: number,
): [string, T][] {
  return [...map].toSorted(([a, x], [b, y]) => figure(y) - figure(x) || (a < b ? -1 : 1)).slice(0, limit)
}
