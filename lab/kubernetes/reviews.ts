/** TokenReview and SubjectAccessReview, as a real API server answers them: 201, and the verdict in `status`. */

export class Reviews {
  /** User names by token. */
  readonly users = new Map<string, string>()
  /** Who may what: `ann create pods/portforward shop`, the last word a namespace. */
  readonly grants = new Set<string>()

  /**
   * @param path of a POST
   * @returns the body; undefined for a path that is no review
   */
  answer(path: string, body: string): string | undefined {
    const kind =
      /^\/apis\/(authentication|authorization)\.k8s\.io\/v1\/(tokenreviews|subjectaccessreviews)$/.exec(
        path,
      )?.[2]
    if (kind === undefined) return undefined
    const review = JSON.parse(body) as {
      readonly spec: {
        readonly token?: string
        readonly user?: string
        readonly resourceAttributes?: Readonly<Record<string, string>>
      }
    }
    const { token = '', user = '', resourceAttributes = {} } = review.spec
    if (kind === 'tokenreviews') {
      const username = this.users.get(token)
      const known = {
        authenticated: true,
        user: { username, uid: `uid-${username ?? ''}`, groups: ['people'] },
      }
      return JSON.stringify({
        ...review,
        status: username === undefined ? { error: 'invalid bearer token' } : known,
      })
    }
    const { verb = '', resource = '', subresource = '', namespace = '' } = resourceAttributes
    const allowed = this.grants.has(`${user} ${verb} ${resource}/${subresource} ${namespace}`)
    return JSON.stringify({ ...review, status: { allowed } })
  }
}
