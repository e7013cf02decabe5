import { Agent as HttpsAgent } from 'node:https'
import { Agent as HttpAgent } from '../common/node-http.ts'
import type { PolledFile } from '../common/polled-file.ts'
import { Agents } from './agents.ts'
import type { Target } from './core/access.ts'
import { Refusal } from './core/refusal.ts'
import { KubeletTls, serviceAccountAuthority } from './kubelet-tls.ts'
import { openToken, serviceAccountToken } from './token.ts'

export interface CredentialOptions {
  /** Undefined: the service account's. */
  readonly authorityFile: string | undefined
  readonly insecure: boolean
  /** Undefined: the service account's. */
  readonly tokenFile: string | undefined
  /** Shown in place of the token. */
  readonly client: { readonly certificateFile: string; readonly keyFile: string } | undefined
  /** Called when a part (`kubelet_tls`, `token`) became usable, or not, or has a problem although it is usable. */
  readonly report: (part: string, usable: boolean, problem: string | undefined) => void
}

/** What a target is reached with. */
export interface Access {
  readonly agents: Agents
  /** The value of the Authorization header. */
  readonly authorization: string | undefined
}

/** What the proxy shows to targets, and what it verifies them with. Only kubelets get anything. */
export class Credentials implements AsyncDisposable {
  readonly #owned: AsyncDisposableStack
  readonly #tls: KubeletTls
  readonly #token: PolledFile<string> | undefined
  /** Pods are shown nothing, so there is nothing to protect: what they serve is taken as it is. */
  readonly #pods = {
    http: new Agents((options) => new HttpAgent(options)),
    https: new Agents((options) => new HttpsAgent({ ...options, rejectUnauthorized: false })),
  }

  private constructor(owned: AsyncDisposableStack, tls: KubeletTls, token: PolledFile<string> | undefined) {
    this.#owned = owned
    this.#tls = tls
    this.#token = token
  }

  /** Reads the files once, whatever the outcome, and goes on reading them. */
  static async open(options: CredentialOptions): Promise<Credentials> {
    const { authorityFile = serviceAccountAuthority, tokenFile = serviceAccountToken } = options
    const { insecure, client, report } = options
    await using owned = new AsyncDisposableStack()
    const tls = owned.use(
      await KubeletTls.open({
        authorityFile,
        insecure,
        client,
        onChange: (usable, problem) => {
          report('kubelet_tls', usable, problem)
        },
      }),
    )
    const token =
      client === undefined
        ? owned.use(
            await openToken(tokenFile, (usable, problem) => {
              report('token', usable, problem)
            }),
          )
        : undefined
    return new Credentials(owned.move(), tls, token)
  }

  /** When the token was last read, in milliseconds since the epoch. */
  get tokenReadAtMs(): number | undefined {
    return this.#token?.readAtMs
  }

  /** Open connections to kubelets. */
  get connections(): { readonly active: number; readonly idle: number } {
    return this.#tls.agents?.connections ?? { active: 0, idle: 0 }
  }

  /** @throws Refusal not_ready while there is nothing to verify with or to show */
  for(target: Target): Access {
    if (!target.isKubelet) return { agents: this.#pods[target.scheme], authorization: undefined }
    const { agents } = this.#tls
    if (agents === undefined)
      throw new Refusal('not_ready', 'The proxy has no certificate authority to verify kubelets with')
    if (this.#token === undefined) return { agents, authorization: undefined }
    const token = this.#token.value
    if (token === undefined) throw new Refusal('not_ready', 'The proxy has no token for kubelets')
    return { agents, authorization: `Bearer ${token}` }
  }

  /** Reads everything again, now. */
  async refresh(): Promise<void> {
    await Promise.all([this.#token?.refresh(), this.#tls.refresh()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agents of Object.values(this.#pods)) agents.retire()
    await this.#owned.disposeAsync()
  }
}
