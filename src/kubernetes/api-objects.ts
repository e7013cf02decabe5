/** The fields that podsonar reads of objects of the Kubernetes API (v1), as JSON. Anything may be absent but what Go always writes. */
import type { JsonShape } from '../common/json-pick.ts'

export interface ApiMetadata {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly {
    readonly kind: string
    readonly name: string
    readonly controller?: boolean
  }[]
}

export interface ApiCondition {
  readonly type: string
  readonly status: string
}

export interface ApiContainer {
  readonly ports?: readonly {
    readonly name?: string
    readonly containerPort: number
    readonly protocol?: string
  }[]
}

export interface ApiPod {
  readonly metadata?: ApiMetadata
  readonly spec?: {
    readonly hostNetwork?: boolean
    readonly nodeName?: string
    readonly containers?: readonly ApiContainer[]
  }
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    readonly podIPs?: readonly { readonly ip?: string }[]
    readonly conditions?: readonly ApiCondition[]
  }
}

export interface ApiNode {
  readonly metadata?: ApiMetadata
  readonly status?: {
    readonly conditions?: readonly ApiCondition[]
    readonly addresses?: readonly { readonly type: string; readonly address: string }[]
    readonly daemonEndpoints?: { readonly kubeletEndpoint?: { readonly Port?: number } }
  }
}

export interface ApiService {
  readonly metadata?: ApiMetadata
  readonly spec?: { readonly clusterIP?: string; readonly clusterIPs?: readonly string[] }
}

const metadataShape = {
  name: 'all',
  namespace: 'all',
  uid: 'all',
  resourceVersion: 'all',
  deletionTimestamp: 'all',
  labels: 'all',
  annotations: 'all',
  ownerReferences: { kind: 'all', name: 'all', controller: 'all' },
} satisfies Record<keyof ApiMetadata, JsonShape>

const conditionShape = { type: 'all', status: 'all' } satisfies Record<keyof ApiCondition, JsonShape>

/** The fields of {@link ApiPod}. */
export const podShape = {
  metadata: metadataShape,
  spec: {
    hostNetwork: 'all',
    nodeName: 'all',
    containers: { ports: { name: 'all', containerPort: 'all', protocol: 'all' } },
  },
  status: { phase: 'all', podIP: 'all', podIPs: { ip: 'all' }, conditions: conditionShape },
} satisfies Record<keyof ApiPod, JsonShape>

/** The fields of {@link ApiNode}. */
export const nodeShape = {
  metadata: metadataShape,
  status: {
    conditions: conditionShape,
    addresses: { type: 'all', address: 'all' },
    daemonEndpoints: { kubeletEndpoint: { Port: 'all' } },
  },
} satisfies Record<keyof ApiNode, JsonShape>

/** The fields of {@link ApiService}. */
export const serviceShape = {
  metadata: metadataShape,
  spec: { clusterIP: 'all', clusterIPs: 'all' },
} satisfies Record<keyof ApiService, JsonShape>

/** What every object has. @throws Error when it is missing: then this is no object of the API */
export function identityOf(
  what: string,
  metadata: ApiMetadata | undefined,
): { readonly uid: string; readonly name: string } {
  const { uid, name } = metadata ?? {}
  if (uid === undefined || name === undefined)
    throw new Error(`Cannot read a ${what}: it has no metadata.name or metadata.uid`)
  return { uid, name }
}

/** The status of the condition `Ready` of a pod or node. */
export function isReady(conditions: readonly ApiCondition[] | undefined): boolean {
  return conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}
