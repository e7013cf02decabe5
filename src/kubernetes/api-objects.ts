/** The fields that podsonar reads of objects of the Kubernetes API (v1), as JSON. Anything may be absent but what Go always writes. */

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
