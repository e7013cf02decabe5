/** A request with its response, as an onlooker knows it. */

/** Which end of the connection the watched process is. */
export type Side = 'server' | 'client'

export interface Exchange {
  readonly side: Side
  /** `1.0`, `1.1` or `2`. */
  readonly version: string
  /** As sent, in capitals; unknown ones too. */
  readonly method: string
  /** See `pathTemplate`; undefined: not known, as on a connection that was joined midway. */
  readonly route: string | undefined
  readonly scheme: 'http' | 'https'
  /** The Host header or :authority; undefined where it was not seen. */
  readonly authority: string | undefined
  /** Undefined: no response was seen before the connection ended or the stream was reset. */
  readonly status: number | undefined
  /** Of a gRPC call. */
  readonly grpc: GrpcCall | undefined
  /** The header of W3C Trace Context, as sent. */
  readonly traceparent: string | undefined
  /** CLOCK_MONOTONIC nanoseconds: first byte of the request; first and last byte of the response. */
  readonly startNs: number
  readonly firstByteNs: number
  readonly endNs: number
  /** Bytes of the bodies as they were on the wire. */
  readonly requestBytes: number
  readonly responseBytes: number
  /** How many exchanges it stands for, when not all were recorded: 1 or more. */
  readonly weight: number
}

export interface GrpcCall {
  /** `package.Service/Method`; undefined: not known. */
  readonly method: string | undefined
  /** As `OK`, `DEADLINE_EXCEEDED`. */
  readonly status: string
}

export type OnExchange = (exchange: Exchange) => void
