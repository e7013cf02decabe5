import { X509Certificate } from 'node:crypto'
import { Agent } from 'node:https'
import { Socket } from 'node:net'
import { checkServerIdentity, createSecureContext, type ConnectionOptions } from 'node:tls'
import { describeError } from '../common/errors.ts'
import { PolledFile } from '../common/polled-file.ts'
import { Agents } from './agents.ts'
import { KubeletConnection } from './kubelet-connection.ts'

/** Where Kubernetes mounts the cluster's certificate authority. */
export const serviceAccountAuthority = '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt'

export interface KubeletTlsOptions {
  readonly authorityFile: string
  /** Do not verify kubelets at all; the authority is then not read. */
  readonly insecure: boolean
  /** A certificate and its key to show instead of the token. */
  readonly client: { readonly certificateFile: string; readonly keyFile: string } | undefined
  /** Called first when all was read once, then when the agents or the problem changed. */
  readonly onChange: (usable: boolean, problem: string | undefined) => void
  /** Milliseconds between readings of the files. @default 10000 */
  readonly everyMs?: number
}

/**
 * Connections to kubelets with the authority and client certificate of the moment. When a file changes, new scrapes
 * use new connections only; those that run finish on the old ones.
 */
export class KubeletTls implements AsyncDisposable {
  readonly #options: KubeletTlsOptions
  readonly #files: PolledFile<string>[] = []
  #agents: Agents | undefined
  /** What the agents were made from. */
  #built: string | undefined

  private constructor(options: KubeletTlsOptions) {
    this.#options = options
  }

  static async open(options: KubeletTlsOptions): Promise<KubeletTls> {
    const tls = new KubeletTls(options)
    const paths = [
      ...(options.insecure ? [] : [options.authorityFile]),
      ...(options.client === undefined ? [] : [options.client.certificateFile, options.client.keyFile]),
    ]
    for (const path of paths) {
      tls.#files.push(
        await PolledFile.open({
          path,
          everyMs: options.everyMs ?? 10_000,
          parse: path === options.client?.keyFile ? (text) => text : checkedCertificates,
          onChange: () => {
            if (tls.#files.length === paths.length) tls.#renew()
          },
        }),
      )
    }
    tls.#renew()
    return tls
  }

  /** The agents of the moment; undefined while there is nothing to verify with. */
  get agents(): Agents | undefined {
    return this.#agents
  }

  /** Reads the files again, now. */
  async refresh(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.refresh()))
  }

  #renew(): void {
    const { insecure, client, onChange } = this.#options
    const texts = new Map(this.#files.map(({ path, value }) => [path, value]))
    const ca = texts.get(this.#options.authorityFile)
    const missing = this.#files.find(({ value }) => value === undefined)
    let problem = this.#files.find(({ problem }) => problem !== undefined)?.problem
    const wanted = [...texts.values()].join('')
    if (missing === undefined && (this.#agents === undefined || wanted !== this.#built)) {
      try {
        const secureContext = createSecureContext({
          ...(insecure ? {} : { ca }),
          ...(client && { cert: texts.get(client.certificateFile), key: texts.get(client.keyFile) }),
          minVersion: 'TLSv1.2',
        })
        this.#agents?.retire()
        this.#agents = new Agents(
          (options) => new KubeletAgent({ ...options, secureContext, rejectUnauthorized: !insecure }),
        )
        this.#built = wanted
      } catch (error) {
        // A certificate whose key has not been replaced yet: the next reading brings it.
        problem = `Cannot use ${client?.certificateFile ?? ''} with ${client?.keyFile ?? ''}: ${describeError(error)}`
      }
    }
    onChange(this.#agents !== undefined, problem)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files) await file[Symbol.asyncDispose]()
    this.#agents?.retire()
  }
}

/**
 * An agent that takes a certificate which names the address or, as the one that a kubelet makes itself, only the node.
 * The check belongs to the agent: Node never uses a connection again that a request brought its own check for. Address
 * and server name are in the key of the pool, so a connection verified for one node is never used for another.
 */
class KubeletAgent extends Agent {
  override createConnection(
    options: ConnectionOptions,
    callback?: Parameters<Agent['createConnection']>[1],
  ): ReturnType<Agent['createConnection']> {
    const { host = '', servername = '' } = options
    const check: ConnectionOptions['checkServerIdentity'] = (_name, certificate) => {
      const problem = checkServerIdentity(host, certificate)
      return problem === undefined || servername === ''
        ? problem
        : checkServerIdentity(servername, certificate)
    }
    const connection = new KubeletConnection()
    const socket = super.createConnection(
      Object.assign({ ...options, checkServerIdentity: check }, { onread: connection.onRead }),
      callback,
    )
    if (socket instanceof Socket) connection.attach(socket)
    return socket
  }
}

/**
 * @param text PEM
 * @throws Error when there is no certificate in it, or one that cannot be read
 */
function checkedCertificates(text: string): string {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new Error('it has no certificate in PEM form')
  for (const block of blocks) new X509Certificate(block)
  return text
}
