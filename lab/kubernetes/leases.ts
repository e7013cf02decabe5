/** coordination.k8s.io/v1 Lease: create and update with optimistic locking. */
import { randomUUID } from 'node:crypto'
import type { Route } from './route.ts'
import { qualified, refusal, type Refusal } from './statuses.ts'
import type { Entry, Store } from './store.ts'

interface LeaseBody {
  readonly metadata?: {
    readonly name?: string
    readonly namespace?: string
    readonly resourceVersion?: string
  }
  readonly spec?: Readonly<Record<string, unknown>>
}

/** Handles create and update. Times in the spec must be written as MicroTime, as the real server asks. */
export function writeLease(route: Route, store: Store, body: string): Entry | Refusal {
  let lease: LeaseBody
  try {
    lease = JSON.parse(body) as LeaseBody
  } catch {
    return { ...refusal(400, route), message: 'the object provided is unrecognized: invalid character' }
  }
  const { metadata = {}, spec = {} } = lease
  const name = route.name ?? metadata.name ?? ''
  const existing = store.get(route.namespace, name)
  for (const field of ['acquireTime', 'renewTime']) {
    const value = spec[field]
    if (typeof value === 'string' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(value))
      return {
        ...refusal(400, route),
        message: `parsing time "${value}" as "2006-01-02T15:04:05.000000Z07:00"`,
      }
  }
  if (route.verb === 'create') {
    if (existing === undefined) return put(store, route.namespace, name, randomUUID(), spec)
    const message = `${qualified(route)} "${name}" already exists`
    return { ...refusal(409, route), reason: 'AlreadyExists', message }
  }
  if (existing === undefined) return refusal(404, route)
  if (metadata.resourceVersion === undefined || metadata.resourceVersion === '') {
    const message = `${qualified(route)} "${name}" is invalid: metadata.resourceVersion: must be specified for an update`
    return { ...refusal(422, route), message }
  }
  if (metadata.resourceVersion !== String(existing.resourceVersion)) {
    const why = 'the object has been modified; please apply your changes to the latest version and try again'
    return {
      ...refusal(409, route),
      message: `Operation cannot be fulfilled on ${qualified(route)} "${name}": ${why}`,
      details: { name, group: route.group, kind: route.resource },
    }
  }
  return put(store, route.namespace, name, existing.fields['metadata.uid'] ?? '', spec)
}

function put(
  store: Store,
  namespace: string | undefined,
  name: string,
  uid: string,
  spec: Readonly<Record<string, unknown>>,
): Entry {
  return store.put((resourceVersion) => ({
    namespace,
    name,
    labels: {},
    fields: { 'metadata.name': name, 'metadata.uid': uid },
    resourceVersion,
    render: () => {
      const metadata = { name, namespace, uid, resourceVersion: String(resourceVersion) }
      return Buffer.from(JSON.stringify({ metadata, spec }))
    },
  }))
}
