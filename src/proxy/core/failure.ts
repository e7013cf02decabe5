import { describeError, errorCode } from '../../common/errors.ts'
import { bracketed } from '../../common/ip.ts'
import type { Target } from './access.ts'
import { Refusal } from './refusal.ts'

/** The part of a target's answer that decides whether it is passed on. */
export interface Answer {
  readonly statusCode?: number | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** Why a target's answer is not passed on; undefined when it is. */
export function refusedAnswer(
  target: Target,
  { statusCode = 0, headers }: Answer,
  maxBytes: number,
): Refusal | undefined {
  const who = target.label
  if (statusCode >= 300 && statusCode < 400)
    return new Refusal('upstream_redirect', `${who} answered ${statusCode}: redirects are not followed`)
  if (statusCode === 401 || statusCode === 403)
    return new Refusal(
      'upstream_auth',
      `${who} answered ${statusCode}: ${hints[target.isKubelet ? statusCode : 0]}`,
    )
  if (statusCode !== 200) return new Refusal('upstream_status', `${who} answered ${statusCode}, expected 200`)
  const length = Number(headers['content-length'] ?? 0)
  return length > maxBytes
    ? new Refusal(
        'upstream_too_large',
        `${who} answered ${length} bytes, expected at most ${maxBytes} (MAX_SCRAPE_BYTES)`,
      )
    : undefined
}

const hints: Record<0 | 401 | 403, string> = {
  0: 'the target wants credentials, which the proxy does not have',
  401: 'it does not accept the credentials of the proxy (KUBELET_TOKEN_FILE or KUBELET_CLIENT_CERTIFICATE)',
  403: 'the proxy needs the verb get on nodes/metrics',
}

/** What went wrong before a target answered, as the client is told. */
export function failure(target: Target, error: unknown): Refusal {
  const where = `${target.label} (${bracketed(target.address)}:${target.port})`
  const text = describeError(error)
  if (isTls(error))
    return new Refusal(
      'upstream_tls',
      `Cannot verify ${where}: ${text}${target.isKubelet ? '; see KUBELET_CERTIFICATE_AUTHORITY and KUBELET_INSECURE_TLS' : ''}`,
      { cause: error },
    )
  return new Refusal('upstream_unreachable', `Cannot reach ${where}: ${text}`, { cause: error })
}

/** OpenSSL's verification results and Node's own TLS errors. */
const tlsCodes =
  /^(ERR_TLS_|ERR_SSL_|EPROTO|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERROR_IN_CERT|INVALID_(CA|PURPOSE)|PATH_LENGTH|HOSTNAME_MISMATCH)/

function isTls(error: unknown): boolean {
  return tlsCodes.test(errorCode(error) ?? '')
}
