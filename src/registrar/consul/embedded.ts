import type { Logger } from '../../common/logger.ts'
import { WebServer } from '../../common/web/server.ts'
import type { DirectoryNode } from '../core/directory-node.ts'
import { heartbeatName, kindOf, type ActualService } from '../core/service.ts'
import { heartbeatId, heartbeatMeta, heartbeatOf } from './answers.ts'
import { embeddedHandler } from './embedded-routes.ts'
import { EmbeddedStore } from './embedded-store.ts'
import type { Heartbeat, Operation, OperationResult, Registry } from './registry.ts'

export interface EmbeddedOptions {
  readonly node: DirectoryNode
  /** Where this registrar itself is reached: its heartbeat is a service with this address. */
  readonly self: { readonly address: string; readonly port: number }
  /** CONSUL_LISTEN. */
  readonly port: number
  readonly address: string | undefined
  readonly log: Logger
}

/**
 * A directory of this cluster's targets in memory, served the way that consul_sd reads Consul. It answers once everything
 * is in it: a consumer that was answered with a part would drop the rest.
 */
export class EmbeddedCatalog implements Registry {
  readonly kind = 'embedded'
  readonly #options: EmbeddedOptions
  readonly #store = new EmbeddedStore(Date.now())
  readonly #stop = new AbortController()
  #server: WebServer | undefined
  #complete = false

  private constructor(options: EmbeddedOptions) {
    this.#options = options
  }

  /** @throws PodsonarError `listen_failed` when the port cannot be had */
  static async start(options: EmbeddedOptions): Promise<EmbeddedCatalog> {
    const catalog = new EmbeddedCatalog(options)
    await catalog.#listen()
    return catalog
  }

  /** All services are there: from now on consumers are answered. */
  completed(): void {
    this.#complete = true
  }

  read(each: (service: ActualService) => void): Promise<void> {
    const node = this.#options.node.name
    for (const service of this.#store.services())
      if (kindOf(service.id) !== undefined) each({ ...service, node })
    return Promise.resolve()
  }

  apply(operations: readonly Operation[], onResult: (result: OperationResult) => void): Promise<void> {
    const puts = operations.filter((operation) => operation.type !== 'deregister')
    const deletes = operations.filter((operation) => operation.type === 'deregister')
    this.#store.change(
      puts.map(({ service }) => service),
      deletes.map(({ service }) => service.id),
    )
    for (const operation of operations) onResult({ operation, ok: true })
    return Promise.resolve()
  }

  /** Nothing gets lost here while the program runs. */
  watchLoss(): Disposable {
    return { [Symbol.dispose]: () => undefined }
  }

  beat(heartbeat: Heartbeat | undefined): Promise<void> {
    const { self } = this.#options
    if (heartbeat === undefined) {
      const beats = [...this.#store.services()].filter(({ name }) => name === heartbeatName)
      this.#store.change(
        [],
        beats.map(({ id }) => id),
      )
    } else {
      const id = heartbeatId(heartbeat.clusterName)
      const service = { id, name: heartbeatName, ...self, tags: [], meta: heartbeatMeta(heartbeat) }
      this.#store.change([service], [])
    }
    return Promise.resolve()
  }

  readHeartbeat(clusterName: string): Promise<Heartbeat | undefined> {
    return Promise.resolve(heartbeatOf(this.#store.get(heartbeatId(clusterName))?.meta ?? null))
  }

  async #listen(): Promise<void> {
    const { port, address, node, log } = this.#options
    this.#server = await WebServer.listen({
      setting: 'CONSUL_LISTEN',
      ...{ port, address, log },
      handler: embeddedHandler({
        store: this.#store,
        node,
        complete: () => this.#complete,
        signal: this.#stop.signal,
      }),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#server?.[Symbol.asyncDispose]()
  }
}
