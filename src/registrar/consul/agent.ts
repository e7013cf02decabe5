import { describeError } from '../../common/errors.ts'
import { heartbeatName, type ActualService } from '../core/service.ts'
import { heartbeatId, heartbeatMeta, heartbeatOf, streamServices, type ServiceAnswer } from './answers.ts'
import { ConsulError } from './errors.ts'
import type { ConsulHttp } from './http.ts'
import { poll } from './poll.ts'
import { inParallel } from './pool.ts'
import type { Heartbeat, Operation, OperationResult, Registry } from './registry.ts'

export interface AgentOptions {
  readonly clusterName: string
  /** Where this registrar itself is reached: its heartbeat is a service with this address. */
  readonly self: { readonly address: string; readonly port: number }
}

/** The agent takes 180 to 280 registrations a second whatever the concurrency; more only makes it slower for others. */
const concurrency = 4
/** Well within the 15 s in which a loss is to be noticed, a slow answer included. */
const lossCheckMs = 4_000

/**
 * Services of the local Consul agent, which keeps the catalog equal to them. The heartbeat is also what tells that an agent
 * lost its services: as long as it is there, so are they.
 */
export class AgentRegistry implements Registry {
  readonly kind = 'agent'
  readonly #http: ConsulHttp
  readonly #options: AgentOptions
  #beating = false

  constructor(http: ConsulHttp, options: AgentOptions) {
    this.#http = http
    this.#options = options
  }

  async read(each: (service: ActualService) => void, signal: AbortSignal): Promise<void> {
    const act = 'read the services of the Consul agent'
    const rule = 'service_prefix "" { policy = "read" }'
    await streamServices(
      this.#http,
      '/agent/services',
      { act, rule, signal, inside: undefined, node: '' },
      each,
    )
  }

  apply(
    operations: readonly Operation[],
    onResult: (result: OperationResult) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return inParallel(operations, concurrency, signal, async (operation) => {
      onResult(await this.#applyOne(operation, signal))
    })
  }

  async #applyOne(operation: Operation, signal: AbortSignal): Promise<OperationResult> {
    try {
      if (operation.type === 'deregister') await this.#deregister(operation.service.id, signal)
      else await this.#register(operation.service, signal)
      return { operation, ok: true }
    } catch (error) {
      const refused = error instanceof ConsulError && error.code === 'consul_refused'
      return { operation, ok: false, error: describeError(error), refused }
    }
  }

  #register(service: Omit<ActualService, 'node'>, signal: AbortSignal): Promise<unknown> {
    const { id, name, address, port, tags, meta } = service
    const act = `register ${id}`
    const rule = `service ${JSON.stringify(name)} { policy = "write" }`
    return this.#http.call({ act, rule, signal }, (common) =>
      this.#http.client.agent.service.register({
        ...common,
        ...{ id, name, address, port, tags: [...tags], meta: { ...meta } },
      }),
    )
  }

  async #deregister(id: string, signal: AbortSignal): Promise<void> {
    const rule = 'service_prefix "" { policy = "write" } for the services of this registrar'
    try {
      await this.#http.call({ act: `deregister ${id}`, rule, signal }, (common) =>
        this.#http.client.agent.service.deregister({ ...common, id }),
      )
    } catch (error) {
      // Newer versions answer 404 for what is not there: so be it.
      if (!(error instanceof ConsulError && error.status === 404)) throw error
    }
  }

  watchLoss(lost: (reason: string) => void): Disposable {
    return poll(lossCheckMs, async (signal) => {
      if (!this.#beating) return
      if ((await this.readHeartbeat(this.#options.clusterName, signal)) === undefined) {
        this.#beating = false
        lost('the Consul agent has lost its services')
      }
    })
  }

  async beat(heartbeat: Heartbeat | undefined, signal: AbortSignal): Promise<void> {
    const { clusterName, self } = this.#options
    const id = heartbeatId(clusterName)
    if (heartbeat === undefined) {
      this.#beating = false
      await this.#deregister(id, signal)
      return
    }
    const meta = heartbeatMeta(heartbeat)
    await this.#register({ id, name: heartbeatName, ...self, tags: [], meta }, signal)
    this.#beating = true
  }

  async readHeartbeat(clusterName: string, signal: AbortSignal): Promise<Heartbeat | undefined> {
    const { status, body } = await this.#http.get<ServiceAnswer>(
      `/agent/service/${encodeURIComponent(heartbeatId(clusterName))}`,
      {
        act: 'read the heartbeat',
        rule: `service "${heartbeatName}" { policy = "read" }`,
        signal,
        accept: [200, 404],
      },
    )
    return status === 200 ? heartbeatOf(body.Meta) : undefined
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#http[Symbol.dispose]()
    return Promise.resolve()
  }
}
