/** Asks the API server who a token belongs to, and what they may do. Needs the role system:auth-delegator or the like. */
import type { KubernetesClient } from './client.ts'

/** A user as the API server knows them: `TokenReview.status.user`. */
export interface ReviewedUser {
  readonly username: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/**
 * Whose token it is (authentication.k8s.io/v1).
 *
 * @returns undefined: nobody's
 * @throws as `KubernetesClient.json`
 */
export async function reviewToken(
  client: KubernetesClient,
  token: string,
  signal: AbortSignal,
): Promise<ReviewedUser | undefined> {
  const { status } = (await client.json({
    act: 'create tokenreviews',
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/tokenreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
    signal,
  })) as { status?: { authenticated?: boolean; user?: ReviewedUser } }
  return status?.authenticated === true && status.user?.username ? status.user : undefined
}

/**
 * Whether a user may `verb` a sub-resource of a pod (authorization.k8s.io/v1).
 *
 * @throws as `KubernetesClient.json`
 */
export async function reviewAccess(
  client: KubernetesClient,
  user: ReviewedUser,
  {
    namespace,
    pod,
    verb,
    subresource,
  }: Readonly<Record<'namespace' | 'pod' | 'verb' | 'subresource', string>>,
  signal: AbortSignal,
): Promise<boolean> {
  const { username, uid, groups, extra } = user
  const { status } = (await client.json({
    act: 'create subjectaccessreviews',
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        ...{ user: username, uid, groups, extra },
        resourceAttributes: { group: '', resource: 'pods', namespace, name: pod, verb, subresource },
      },
    },
    signal,
  })) as { status?: { allowed?: boolean; denied?: boolean } }
  return status?.allowed === true && status.denied !== true
}
