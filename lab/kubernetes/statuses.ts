/** The `Status` bodies with which the API server refuses. Wording as recorded from Kubernetes 1.20. */

export interface Refusal {
  readonly status: number
  readonly reason: string
  readonly message: string
  readonly details?: Readonly<Record<string, unknown>>
}

export interface Subject {
  readonly verb: string
  readonly resource: string
  readonly group: string
  readonly namespace: string | undefined
  readonly name: string | undefined
}

const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
}

const words: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  410:
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without ' +
    'the continue parameter.',
  429: 'Too many requests, please try again later.',
  500: 'Internal error occurred: etcdserver: request timed out',
  503: 'the server is currently unable to handle the request',
}

/** How a server refuses `subject` with `status`. */
export function refusal(status: number, subject: Subject): Refusal {
  const { verb, resource, group, namespace, name } = subject
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`
  const user = 'User "system:serviceaccount:podsonar:registrar"'
  const message =
    status === 403
      ? `${resource} is forbidden: ${user} cannot ${verb} resource "${resource}" in API group "${group}" ${where}`
      : status === 404
        ? `${qualified(subject)} "${name ?? ''}" not found`
        : (words[status] ?? `status ${status}`)
  const details =
    status === 403
      ? { kind: resource }
      : status === 404
        ? { name, ...(group === '' ? {} : { group }), kind: resource }
        : undefined
  return {
    status,
    reason: reasons[status] ?? 'Unknown',
    message,
    ...(details === undefined ? {} : { details }),
  }
}

/** `leases.coordination.k8s.io` */
export function qualified({ resource, group }: Pick<Subject, 'resource' | 'group'>): string {
  return group === '' ? resource : `${resource}.${group}`
}

export function statusBody({ status, reason, message, details }: Refusal): string {
  const head = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' }
  return JSON.stringify({ ...head, message, reason, details, code: status })
}
