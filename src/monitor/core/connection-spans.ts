/** Connections as spans of OpenTelemetry: one for each, with its establishment, transfer and termination below it. */
import { ProtobufWriter } from '../../exporter/core/requests/protobuf-writer.ts'
import { writeAttributes, type Attributes, type EncodeOptions } from '../../exporter/core/requests/spans.ts'
import type { Connection } from '../../exporter/core/sidecar/connection-tracker.ts'

const spanKind = { inbound: 2, outbound: 3 } as const
const statusError = 2

interface Part {
  readonly name: string
  readonly from: number
  readonly to: number
  readonly attributes: Attributes
}

/** The parts of a connection that were seen; none of what was not. */
export function partsOf(connection: Connection): Part[] {
  const { beganNs, stoodNs, endingNs, closedNs, bytesReceived, bytesSent, endedBy } = connection
  const parts: Part[] = []
  const failedNs = stoodNs === undefined && endingNs === undefined ? closedNs : undefined
  const establishedNs = stoodNs ?? failedNs
  if (beganNs !== undefined && establishedNs !== undefined)
    parts.push({ name: 'Connection Establishment', from: beganNs, to: establishedNs, attributes: {} })
  const transferEnd = endingNs ?? closedNs
  if (stoodNs !== undefined && transferEnd !== undefined)
    parts.push({
      ...{ name: 'Data Transfer', from: stoodNs, to: transferEnd },
      attributes: { 'network.received.bytes': bytesReceived, 'network.sent.bytes': bytesSent },
    })
  if (endingNs !== undefined && closedNs !== undefined)
    parts.push({
      ...{ name: 'Connection Termination', from: endingNs, to: closedNs },
      attributes: endedBy === undefined ? {} : { 'podsonar.ended_by': endedBy },
    })
  return parts
}

/** `<pod>-in` and `<pod>-out`: what the two services of a pod are called. */
export function serviceOf(pod: string, { direction }: Connection): string {
  return direction === 'outbound' ? `${pod}-out` : direction === 'inbound' ? `${pod}-in` : pod
}

/** An ExportTraceServiceRequest of connections that have ended. `resourceOf` is given their services' names. */
export function encodeConnections(
  connections: readonly Connection[],
  pod: string,
  options: EncodeOptions,
): Uint8Array<ArrayBuffer> {
  const request = new ProtobufWriter()
  for (const [service, own] of Map.groupBy(connections, (connection) => serviceOf(pod, connection)))
    request.message(1, (resourceSpans) =>
      resourceSpans
        .message(1, (resource) => {
          writeAttributes(resource, 1, options.resourceOf(service))
        })
        .message(2, (scopeSpans) => {
          scopeSpans.message(1, (scope) => scope.text(1, 'podsonar').text(2, options.version))
          for (const connection of own) writeConnection(scopeSpans, connection, options)
        }),
    )
  return request.finish()
}

function writeConnection(scopeSpans: ProtobufWriter, connection: Connection, options: EncodeOptions): void {
  const { direction, leg, seenNs, beganNs, closedNs, error } = connection
  const { random, unixOffsetNs } = options
  const traceId = random(new Uint8Array(16))
  const rootId = random(new Uint8Array(8))
  const from = beganNs ?? seenNs
  const at = (ns: number): bigint => BigInt(Math.round(ns)) + unixOffsetNs
  const write = (id: Uint8Array, parent: Uint8Array, part: Part, isRoot: boolean): void => {
    scopeSpans.message(2, (span) => {
      span.bytes(1, traceId).bytes(2, id).bytes(4, parent).text(5, part.name)
      span.varint(6, isRoot && direction !== undefined ? spanKind[direction] : 1)
      span.fixed64(7, at(part.from)).fixed64(8, at(Math.max(part.from, part.to)))
      writeAttributes(span, 9, part.attributes)
      if (isRoot && error !== 0) span.message(15, (outcome) => outcome.varint(3, statusError))
    })
  }
  const name = `TCP ${leg ?? 'connection that stood before'}`
  const attributes = attributesOf(connection)
  write(rootId, new Uint8Array(0), { name, from, to: closedNs ?? from, attributes }, true)
  for (const part of partsOf(connection)) write(random(new Uint8Array(8)), rootId, part, false)
}

function attributesOf(connection: Connection): Attributes {
  const { container, leg, rttNs, retransmits, error } = connection
  return {
    'network.transport': 'tcp',
    'network.local.address': connection.localAddress,
    'network.local.port': connection.localPort,
    'network.peer.address': connection.remoteAddress,
    'network.peer.port': connection.remotePort,
    ...(container === '' ? {} : { 'k8s.container.name': container }),
    ...(leg === undefined ? {} : { 'podsonar.leg': leg }),
    ...(rttNs === 0 ? {} : { 'podsonar.tcp.rtt_us': Math.round(rttNs / 1_000) }),
    'podsonar.tcp.retransmits': retransmits,
    ...(error === 0 ? {} : { 'error.type': String(error) }),
  }
}
