/** One event as one line for people, or as an object for programs. */
import { getSystemErrorName } from 'node:util'
import type { Exchange } from '../../exporter/core/requests/exchange.ts'
import type { Connection, ConnectionChange } from '../../exporter/core/sidecar/connection-tracker.ts'
import { bytes, duration, fit } from './format.ts'
import { joinAddress, kindOf, pathOf, statusOf } from './summary.ts'

/** An event with its text and its data. */
export interface ShownEvent {
  readonly line: string
  readonly json: Readonly<Record<string, unknown>>
}

/** @param unixOffsetMs what CLOCK_MONOTONIC is short of Unix time */
export function connectionEvent(
  { step, atNs, connection }: ConnectionChange,
  unixOffsetMs: number,
): ShownEvent {
  const { leg, container, localAddress, localPort, remoteAddress, remotePort, pid } = connection
  const time = timeOf(atNs, unixOffsetMs)
  const [local, remote] = [joinAddress(localAddress, localPort), joinAddress(remoteAddress, remotePort)]
  const who = container === '' ? '' : ` ${container}`
  const between = connection.direction === 'inbound' ? `${remote} -> ${local}` : `${local} -> ${remote}`
  const details = detailsOf(step, connection)
  return {
    line: fit(
      `${clockOf(time)} tcp ${step.padEnd(11)}${who} ${between}${leg === undefined ? '' : ` (${leg})`}${details.text}`,
      1_000,
    ),
    json: {
      ...{ type: 'connection', event: step, time, container },
      ...{ direction: connection.direction, leg, local, remote },
      ...(pid === 0 ? {} : { pid }),
      ...details.json,
    },
  }
}

interface Details {
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

function detailsOf(step: ConnectionChange['step'], connection: Connection): Details {
  const { beganNs, stoodNs, closedNs, bytesReceived, bytesSent, retransmits, endedBy, error } = connection
  switch (step) {
    case 'connecting':
      return { text: connection.pid === 0 ? '' : ` process ${connection.pid}`, json: {} }
    case 'connected':
    case 'accepted': {
      const ns = beganNs === undefined || stoodNs === undefined ? undefined : stoodNs - beganNs
      return { text: ns === undefined ? '' : ` in ${duration(ns)}`, json: { establishSeconds: seconds(ns) } }
    }
    case 'failed': {
      const why = error === 0 ? 'given up' : errorName(error)
      return { text: `: ${why}`, json: { error: why } }
    }
    case 'closed': {
      const ns = stoodNs === undefined || closedNs === undefined ? undefined : closedNs - stoodNs
      const broken = error === 0 ? '' : `, ${errorName(error)}`
      return {
        text:
          ` ${ns === undefined ? 'stood before' : `after ${duration(ns)}`}, received ${bytes(bytesReceived)}, ` +
          `sent ${bytes(bytesSent)}${retransmits > 0 ? `, ${retransmits} sent again` : ''}${broken}`,
        json: {
          ...{ seconds: seconds(ns), bytesReceived, bytesSent, retransmits, endedBy },
          ...(error === 0 ? {} : { error: errorName(error) }),
        },
      }
    }
    case 'ending':
    case 'peer_ending':
      return { text: '', json: {} }
  }
}

/** @param container whose it is */
export function exchangeEvent(exchange: Exchange, container: string, unixOffsetMs: number): ShownEvent {
  const { startNs, endNs, firstByteNs, requestBytes, responseBytes, weight, grpc, side, authority } = exchange
  const time = timeOf(endNs, unixOffsetMs)
  const took = duration(endNs - startNs)
  const to = side === 'client' && authority !== undefined ? ` to ${authority}` : ''
  const stands = weight > 1 ? `, stands for ${weight}` : ''
  return {
    line: fit(
      `${clockOf(time)} ${kindOf(exchange).padEnd(11)} ${container} ${pathOf(exchange)}${to} ${statusOf(exchange)} in ${took}, ` +
        `${bytes(requestBytes)} in, ${bytes(responseBytes)} out${stands}`,
      1_000,
    ),
    json: {
      ...{ type: grpc === undefined ? 'http' : 'grpc', side, time, container },
      ...(grpc === undefined
        ? { method: exchange.method, route: exchange.route, status: exchange.status }
        : { method: grpc.method, status: grpc.status }),
      ...(side === 'client' ? { server: authority } : {}),
      ...{ seconds: seconds(endNs - startNs), firstByteSeconds: seconds(firstByteNs - startNs) },
      ...{ requestBytes, responseBytes, weight },
    },
  }
}

function seconds(ns: number | undefined): number | undefined {
  return ns === undefined ? undefined : ns / 1e9
}

function timeOf(ns: number, unixOffsetMs: number): string {
  return new Date(ns / 1e6 + unixOffsetMs).toISOString()
}

function clockOf(time: string): string {
  return time.slice(11, 23)
}

function errorName(errno: number): string {
  return errno > 0 ? getSystemErrorName(-errno) : String(errno)
}
