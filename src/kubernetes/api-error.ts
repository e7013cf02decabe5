import { PodsonarError } from '../common/errors.ts'

type ApiErrorCode =
  | 'bad_request'
  | 'unauthorised'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  /** 410: the resource version or continue token is too old. */
  | 'expired'
  | 'too_many_requests'
  | 'server_error'
  | 'refused'

const codes: Readonly<Record<number, ApiErrorCode>> = {
  400: 'bad_request',
  401: 'unauthorised',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  410: 'expired',
  429: 'too_many_requests',
}

const expectations: Partial<Record<ApiErrorCode, (act: string) => string>> = {
  unauthorised: () => 'expected credentials that it accepts',
  forbidden: (act) => `expected a role that allows to ${act}`,
}

/** The API server answered, and refused. */
export class ApiError extends PodsonarError {
  /** The HTTP status, or the `code` of an ERROR event of a watch. */
  readonly status: number
  /** `Status.reason`: `AlreadyExists` tells one 409 from another. */
  readonly reason: string
  /** How long the server asks to stay away, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(act: string, status: number, body: StatusBody, retryAfterMs?: number) {
    const code = codes[status] ?? (status >= 500 ? 'server_error' : 'refused')
    const said = body.message ?? body.reason
    const expected = expectations[code]?.(act)
    super(
      code,
      `Cannot ${act}: the API server answers ${status}${said === undefined ? '' : `: ${said}`}` +
        (expected === undefined ? '' : `, ${expected}`),
    )
    this.status = status
    this.reason = body.reason ?? ''
    this.retryAfterMs = retryAfterMs
  }
}

/** The part of a v1.Status that matters. */
export interface StatusBody {
  readonly message?: string
  readonly reason?: string
}

/** Reads a refusal's body: a v1.Status, or whatever a proxy in between sent, cut to 200 characters. */
export function parseStatus(body: string): StatusBody {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === 'object' && value !== null) {
      const { message, reason } = value as Record<string, unknown>
      return {
        ...(typeof message === 'string' ? { message } : {}),
        ...(typeof reason === 'string' ? { reason } : {}),
      }
    }
  } catch {
    // Not JSON: a proxy's or load balancer's page.
  }
  const text = body.replace(/\s+/g, ' ').trim().slice(0, 200)
  return text === '' ? {} : { message: text }
}

/** The seconds of a Retry-After header, in milliseconds; undefined when there is none or it is a date. */
export function parseRetryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined
}
