import { directoryNode } from '../core/directory-node.ts'
import { invalidService } from '../core/limits.ts'
import { heartbeatName, type ActualService, type ServiceRecord } from '../core/service.ts'
import { heartbeatId, heartbeatMeta, heartbeatOf, streamServices } from './answers.ts'
import { ConsulError } from './errors.ts'
import type { ConsulHttp } from './http.ts'
import { poll } from './poll.ts'
import type { Heartbeat, Operation, OperationResult, Registry } from './registry.ts'
import { Transactions, type Item, type TransactionOperation } from './transactions.ts'

export interface CatalogOptions {
  readonly clusterName: string
  /** Where this registrar itself is reached: its heartbeat is a service with this address. */
  readonly self: { readonly address: string; readonly port: number }
}

const lossCheckMs = 4_000

/**
 * Services of an external node of the catalog, written by transactions: fast, and independent of any agent's life. The
 * node is written once: a change of it would wake whoever waits for any of its services.
 */
export class CatalogRegistry implements Registry {
  readonly kind = 'catalog'
  readonly node: string
  readonly #http: ConsulHttp
  readonly #options: CatalogOptions
  readonly #transactions: Transactions
  readonly #writeRule: string
  #nodeKnown = false
  #beating = false
  /**
   * Our heartbeat as it stands, to be written once more: no change where it does, refused where somebody else has written his
   * since. In front of a batch it keeps out what a registrar sent, or half sent, before another took over.
   */
  #fence: TransactionOperation | undefined

  constructor(http: ConsulHttp, options: CatalogOptions) {
    this.#http = http
    this.#options = options
    this.node = directoryNode(options.clusterName).name
    this.#transactions = new Transactions(http)
    this.#writeRule = `node ${JSON.stringify(this.node)} { policy = "write" } and service_prefix "" { policy = "write" } for the services of this registrar`
  }

  async read(each: (service: ActualService) => void, signal: AbortSignal): Promise<void> {
    this.#nodeKnown = false
    const rule = 'node_prefix "" { policy = "read" } and service_prefix "" { policy = "read" }'
    const act = `read the services of the node ${this.node}`
    const path = `/catalog/node/${encodeURIComponent(this.node)}`
    await streamServices(this.#http, path, { act, rule, signal, inside: 'Services', node: this.node }, each)
  }

  async apply(
    operations: readonly Operation[],
    onResult: (result: OperationResult) => void,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#ensureNode(signal)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      for (const operation of operations) onResult({ operation, ok: false, error: message, refused: false })
      return
    }
    const options = { rule: this.#writeRule, fence: this.#fence, signal }
    const items = this.#items(operations, onResult)
    await this.#transactions.apply(items, options, ({ subject: operation }, error) => {
      if (error === undefined) onResult({ operation, ok: true })
      else {
        this.#nodeKnown = false
        onResult({ operation, ok: false, error: error.message, refused: error.refused })
      }
    })
  }

  /** What Consul will take; the rest is settled at once. */
  *#items(
    operations: readonly Operation[],
    onResult: (result: OperationResult) => void,
  ): Generator<Item<Operation>> {
    for (const operation of operations) {
      const wrong = operation.type === 'deregister' ? undefined : invalidService(operation.service)
      if (wrong === undefined) yield { subject: operation, operations: this.#words(operation) }
      else {
        const error = `Cannot register ${operation.service.id}: ${wrong}`
        onResult({ operation, ok: false, error, refused: true })
      }
    }
  }

  #words(operation: Operation): TransactionOperation[] {
    const { service } = operation
    if (operation.type === 'deregister') return [this.#remove(service)]
    const set = this.#set(operation.service)
    const { previous } = operation.type === 'update' ? operation : {}
    // A mere `set` under another name does not wake those who wait for the old one (seen with Consul 1.8).
    return previous !== undefined && previous.name !== service.name ? [this.#remove(previous), set] : [set]
  }

  #set({ id, name, address, port, tags, meta }: ServiceRecord): TransactionOperation {
    const service = { ID: id, Service: name, Address: address, Port: port, Tags: tags, Meta: meta }
    return { Service: { Verb: 'set', Node: this.node, Service: service } }
  }

  #remove({ id, name }: Pick<ServiceRecord, 'id' | 'name'>): TransactionOperation {
    return { Service: { Verb: 'delete', Node: this.node, Service: { ID: id, Service: name } } }
  }

  /** Creates the node unless it is there. @throws ConsulError when it is another's */
  async #ensureNode(signal: AbortSignal): Promise<void> {
    if (this.#nodeKnown) return
    const { clusterName } = this.#options
    const filter = `ID == ${JSON.stringify(heartbeatId(clusterName))}`
    const { body } = await this.#http.get<{ Node: { Meta: Record<string, string> | null } } | null>(
      `/catalog/node/${encodeURIComponent(this.node)}`,
      {
        act: `read the node ${this.node}`,
        rule: 'node_prefix "" { policy = "read" }',
        signal,
        query: { filter },
      },
    )
    if (body === null) await this.#createNode(signal)
    else if (body.Node.Meta?.['cluster_name'] !== clusterName) {
      throw new ConsulError(
        'consul_refused',
        `Cannot use the Consul node ${this.node}: its metadata has no cluster_name ${JSON.stringify(clusterName)}, so it is not ours; expected another CLUSTER_NAME, or that node removed`,
      )
    }
    this.#nodeKnown = true
  }

  async #createNode(signal: AbortSignal): Promise<void> {
    const { name, address, meta } = directoryNode(this.#options.clusterName)
    const node = { Node: name, Address: address, Meta: meta }
    const act = `create the node ${this.node}`
    const operations = [{ Node: { Verb: 'set', Node: node } }]
    await this.#http.transaction(operations, { act, rule: this.#writeRule, signal })
  }

  watchLoss(lost: (reason: string) => void): Disposable {
    return poll(lossCheckMs, async (signal) => {
      if (!this.#beating) return
      if ((await this.readHeartbeat(this.#options.clusterName, signal)) === undefined) {
        this.#beating = false
        lost(`the node ${this.node} has lost its services`)
      }
    })
  }

  async beat(heartbeat: Heartbeat | undefined, signal: AbortSignal): Promise<void> {
    const { clusterName, self } = this.#options
    const service = { id: heartbeatId(clusterName), name: heartbeatName, ...self, tags: [] }
    this.#fence = undefined
    if (heartbeat === undefined) this.#beating = false
    else await this.#ensureNode(signal)
    const operation =
      heartbeat === undefined
        ? this.#remove(service)
        : this.#set({ ...service, meta: heartbeatMeta(heartbeat) })
    const options = { act: 'write the heartbeat', rule: this.#writeRule, signal }
    try {
      type Result = { readonly Service: { readonly ModifyIndex: number } }
      const [written] = await this.#http.transactionResults<Result>([operation], options)
      if (heartbeat !== undefined && written !== undefined)
        this.#fence = unchanged(operation, written.Service.ModifyIndex)
    } catch (error) {
      this.#nodeKnown = false
      throw error
    }
    this.#beating = heartbeat !== undefined
  }

  async readHeartbeat(clusterName: string, signal: AbortSignal): Promise<Heartbeat | undefined> {
    type Entry = {
      readonly Node: string
      readonly ServiceID: string
      readonly ServiceMeta: Record<string, string>
    }
    const { body } = await this.#http.get<Entry[]>(`/catalog/service/${heartbeatName}`, {
      act: 'read the heartbeat',
      rule: `service "${heartbeatName}" { policy = "read" } and node_prefix "" { policy = "read" }`,
      signal,
    })
    const ours = body.find(
      ({ Node, ServiceID }) => Node === this.node && ServiceID === heartbeatId(clusterName),
    )
    return ours === undefined ? undefined : heartbeatOf(ours.ServiceMeta)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#http[Symbol.dispose]()
    return Promise.resolve()
  }
}

/** The same service again, provided that nobody else has written it. */
function unchanged({ Service }: TransactionOperation, modifyIndex: number): TransactionOperation {
  return { Service: { ...Service, Verb: 'cas', Service: { ...Service.Service, ModifyIndex: modifyIndex } } }
}
