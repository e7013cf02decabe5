/** Status of gRPC calls: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md and PROTOCOL-HTTP2.md. */

const names = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE'],
  ...['UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
]

export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?![\w-])/i.test(contentType)
}

/** The name of a `grpc-status`; what is none is `UNKNOWN`. */
export function grpcStatusName(value: string): string {
  return (/^\d{1,2}$/.test(value) ? names[Number(value)] : undefined) ?? 'UNKNOWN'
}

/** What a client takes a response without `grpc-status` for: http-grpc-status-mapping.md. */
export function grpcStatusOfHttp(status: number): string {
  switch (status) {
    case 400:
      return 'INTERNAL'
    case 401:
      return 'UNAUTHENTICATED'
    case 403:
      return 'PERMISSION_DENIED'
    case 404:
      return 'UNIMPLEMENTED'
    case 429:
    case 502:
    case 503:
    case 504:
      return 'UNAVAILABLE'
    default:
      return 'UNKNOWN'
  }
}

/** What the code of a RST_STREAM means: PROTOCOL-HTTP2.md, section Errors. */
export function grpcStatusOfReset(code: number): string {
  switch (code) {
    case 7:
      return 'UNAVAILABLE'
    case 8:
      return 'CANCELLED'
    case 11:
      return 'RESOURCE_EXHAUSTED'
    case 12:
      return 'PERMISSION_DENIED'
    default:
      return 'INTERNAL'
  }
}

/** `package.Service/Method` of a path; undefined when it is none: three or more parts, or characters that names do not have. */
export function grpcMethod(path: string): string | undefined {
  return /^\/([\w.]{1,200}\/\w{1,100})$/.exec(path)?.[1]
}
