import { KubernetesClient } from '../kubernetes/client.ts'
import { loadClusterConfig, type ConfigPlaces } from '../kubernetes/cluster-config.ts'
import { reviewAccess, reviewToken } from '../kubernetes/reviews.ts'
import type { CaptureAccess, CaptureUser } from './access.ts'

/** CAPTURE_AUTH=kubernetes: who may forward a port of a pod may capture it, since both lay open what the pod says. */
export class KubernetesAccess implements CaptureAccess {
  readonly #client: KubernetesClient
  readonly #stopping = new AbortController()

  constructor(places: ConfigPlaces = {}) {
    this.#client = new KubernetesClient(loadClusterConfig(places))
  }

  async userOf(token: string): Promise<CaptureUser | undefined> {
    const { signal } = this.#stopping
    const user = await reviewToken(this.#client, token, signal)
    if (user === undefined) return undefined
    const what = { verb: 'create', subresource: 'portforward' }
    return {
      name: user.username,
      mayCapture: (namespace, pod) => reviewAccess(this.#client, user, { namespace, pod, ...what }, signal),
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    this.#client[Symbol.dispose]()
    return Promise.resolve()
  }
}
