import { describeError, errorCode, PodsonarError } from '../../common/errors.ts'

/**
 * - `consul_unreachable`: no answer, or none in time;
 * - `consul_forbidden`: the token is refused or lacks a rule;
 * - `consul_refused`: understood and rejected; the same again is useless;
 * - `consul_failed`: any other error answer (no leader, 500 …);
 * - `consul_bad_answer`: the answer broke off or cannot be read.
 */
export type ConsulErrorCode =
  'consul_unreachable' | 'consul_forbidden' | 'consul_refused' | 'consul_failed' | 'consul_bad_answer'

/** A call to Consul that did not do what it should. Never carries a token. */
export class ConsulError extends PodsonarError {
  declare readonly code: ConsulErrorCode
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined
  /** What Consul said; empty where there was no answer. */
  readonly body: string

  constructor(
    code: ConsulErrorCode,
    message: string,
    options: ErrorOptions & { status?: number; body?: string } = {},
  ) {
    super(code, message, options)
    this.status = options.status
    this.body = options.body ?? ''
  }
}

/** What was tried, for the message: `register pod--default--web-0`. */
export interface Attempt {
  readonly act: string
  readonly url: URL
  /** The ACL rule that it takes: `service_prefix "pod--" { policy = "write" }`. */
  readonly rule: string
}

/** The error for an answer with a status that is not 2xx. */
export function statusError({ act, rule }: Attempt, status: number, body: string): ConsulError {
  const said = body.trim().slice(0, 300) || 'no explanation'
  if (isPermissionProblem(status, body)) {
    return new ConsulError(
      'consul_forbidden',
      `Cannot ${act}: Consul says "${said}" (${status}), expected a token whose policy has ${rule}`,
      { status, body },
    )
  }
  const refused = status >= 400 && status < 500 && status !== 429 && status !== 408
  return new ConsulError(
    refused ? 'consul_refused' : 'consul_failed',
    `Cannot ${act}: Consul says "${said}" (${status})`,
    { status, body },
  )
}

/** Whether an answer is about the token: some versions say so under 500 or, in a transaction, under 409. */
function isPermissionProblem(status: number, body: string): boolean {
  return status === 401 || status === 403 || /permission denied|acl not found/i.test(body)
}

/** The error for a call that got no answer. */
export function connectionError({ act, url }: Attempt, cause: unknown): ConsulError {
  if (cause instanceof ConsulError) return cause
  const reason = errorCode(cause) ?? describeError(cause)
  return new ConsulError(
    'consul_unreachable',
    `Cannot ${act}: no answer from Consul at ${url.host} (${reason}), expected its HTTP API there (CONSUL_ADDRESS)`,
    { cause },
  )
}
