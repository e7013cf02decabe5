import { PodsonarError } from '../../common/errors.ts'

/** Every code that a scrape can be refused with, and its HTTP status. docs/proxy.md says what to do about each. */
export const refusals = {
  bad_path: 400,
  bad_address: 400,
  bad_request: 400,
  unauthorized: 401,
  unknown_node: 403,
  unknown_pod: 403,
  port_not_allowed: 403,
  path_not_allowed: 403,
  not_found: 404,
  method_not_allowed: 405,
  rate_limited: 429,
  upstream_unreachable: 502,
  upstream_tls: 502,
  upstream_auth: 502,
  upstream_redirect: 502,
  upstream_status: 502,
  upstream_too_large: 502,
  not_ready: 503,
  busy: 503,
  upstream_timeout: 504,
} as const satisfies Record<string, number>

export type RefusalCode = keyof typeof refusals

/** A scrape that is not answered with a body of metrics: its code, and a sentence without secrets. */
export class Refusal extends PodsonarError {
  override readonly code: RefusalCode

  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
    this.code = code
  }

  get status(): number {
    return refusals[this.code]
  }
}
