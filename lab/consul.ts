/** A real Consul in development mode, on free ports of the loopback address. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { unpackDebian } from './debian.ts'
import { TemporaryFolder } from './files.ts'
import { freePorts } from './ports.ts'
import { Process } from './process.ts'
import { waitFor } from './wait.ts'

/** The path of the consul program: 1.8.7 from Debian bullseye, the last Debian that ships one before its licence changed. */
export async function consulProgram(): Promise<string> {
  const program = join(await unpackDebian('bullseye', ['consul']), 'usr/bin/consul')
  if (!existsSync(program)) throw new Error(`Cannot find consul at ${program}`)
  return program
}

export interface ConsulOptions {
  /** @default consul-1 */
  readonly nodeName?: string
  /** The address it listens on, where others than this machine are to reach it. @default 127.0.0.1 */
  readonly address?: string
  /** Further agent configuration, merged over the development defaults. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Keep data on disk, so that {@link Consul.restart} finds it again. @default false: in memory, a restart is empty */
  readonly persistent?: boolean
  /** Start a client agent of that server's cluster instead of a server. */
  readonly join?: Consul
  /** @default a free one */
  readonly httpPort?: number
  /** Turns ACLs on, with this as the token that may do everything. It has to be a UUID. */
  readonly managementToken?: string
}

interface Place {
  readonly url: string
  readonly nodeName: string
  readonly serf: string
  readonly token: string | undefined
}

export class Consul implements AsyncDisposable {
  readonly #owned: AsyncDisposableStack
  readonly #args: readonly string[]
  #process: Process
  /** `http://127.0.0.1:<port>`; the same after a restart. */
  readonly url: string
  readonly #nodeName: string
  /** Where others join. */
  readonly #serf: string
  readonly #headers: Readonly<Record<string, string>>

  private constructor(
    owned: AsyncDisposableStack,
    args: readonly string[],
    started: Process,
    { url, nodeName, serf, token }: Place,
  ) {
    this.#owned = owned
    this.#args = args
    this.#process = started
    this.url = url
    this.#nodeName = nodeName
    this.#serf = serf
    this.#headers = token === undefined ? {} : { 'x-consul-token': token }
  }

  /** Starts a server, or a client agent, and waits until there is a leader that knows it. */
  static async start({
    nodeName = 'consul-1',
    address = '127.0.0.1',
    config = {},
    persistent = false,
    join: server,
    httpPort,
    managementToken: token,
  }: ConsulOptions = {}): Promise<Consul> {
    await using owned = new AsyncDisposableStack()
    const folder = owned.use(await TemporaryFolder.create('consul'))
    const [freePort = 0, serf = 0, serfWan = 0, rpc = 0] = await freePorts(4)
    const http = httpPort ?? freePort
    const ports = { http, serf_lan: serf, serf_wan: serfWan, server: rpc, dns: -1, grpc: -1 }
    const onDisk = `-data-dir=${folder.path}`
    const asServer = persistent ? ['-server', '-bootstrap-expect=1', onDisk] : ['-dev']
    const mode = server === undefined ? asServer : [onDisk, `-retry-join=${server.#serf}`]
    const acl =
      token === undefined
        ? {}
        : { acl: { enabled: true, default_policy: 'deny', tokens: { master: token, agent: token } } }
    const args = [
      ...['agent', ...mode, `-node=${nodeName}`, `-bind=${address}`, `-client=${address}`],
      ...['-hcl', JSON.stringify({ ports, disable_update_check: true, ...acl, ...config })],
    ]
    const started = await Process.start('consul', await consulProgram(), args)
    const place = { url: `http://${address}:${http}`, nodeName, serf: `${address}:${serf}`, token }
    const consul = new Consul(owned.move(), args, started, place)
    await consul.#ready()
    return consul
  }

  /** SIGKILL: nothing is deregistered, connections are cut. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#process.exited
  }

  /** Starts it again on the same ports after {@link kill}. */
  async restart(): Promise<void> {
    this.#process = await Process.start('consul', await consulProgram(), this.#args)
    await this.#ready()
  }

  /** Freezes (SIGSTOP) or thaws (SIGCONT) it. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name)
  }

  /** GET of an API path, as JSON. */
  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.url + path, { headers: this.#headers })
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  /** PUT of a JSON body; gives the text of the answer. */
  async put(path: string, body: unknown): Promise<string> {
    const request = { method: 'PUT', body: JSON.stringify(body), headers: this.#headers }
    const response = await fetch(this.url + path, request)
    const text = await response.text()
    if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${text}`)
    return text
  }

  async #ready(): Promise<void> {
    await waitFor('Consul to elect itself and register its node', async () => {
      if (!this.#process.running) throw new Error(`consul ended: ${this.#process.stdout.slice(-1_000)}`)
      const [leader, nodes] = await Promise.all([
        this.get<string>('/v1/status/leader'),
        this.get<{ Node: string }[]>('/v1/catalog/nodes'),
      ])
      return leader !== '' && nodes.some(({ Node }) => Node === this.#nodeName)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGCONT')
    await this.#process[Symbol.asyncDispose]()
    await this.#owned.disposeAsync()
  }
}
