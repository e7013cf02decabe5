/**
 * What is ours on Consul nodes other than the one that is written to: left by an agent that was replaced, or by the other
 * backend. consul_sd finds it there as if it were current.
 */
import { heartbeatName, kindOf, type ActualService } from '../core/service.ts'
import { isOurs } from '../core/decide.ts'
import { heartbeatOf, streamServices } from './answers.ts'
import { directoryNode } from '../core/directory-node.ts'
import { ConsulError } from './errors.ts'
import type { ConsulHttp } from './http.ts'
import { inParallel } from './pool.ts'
import { goneAfterMs, type BackendKind, type Heartbeat, type Registry } from './registry.ts'
import { Transactions } from './transactions.ts'

/**
 * - `dead`: its agent's serfHealth is critical: nobody will bring its services back;
 * - `catalog`: our own external node;
 * - `agent`: the agent that we speak to;
 * - `alive`: another agent, which would bring back what is taken away behind its back;
 * - `external`: another node without an agent.
 */
export type PlaceKind = 'dead' | 'catalog' | 'agent' | 'alive' | 'external'

/** A Consul node with services of ours. */
export interface Place {
  readonly node: string
  readonly kind: PlaceKind
  /** Heartbeats included. */
  readonly services: readonly Pick<ActualService, 'id' | 'name'>[]
}

const atATime = 4
const readRule = 'node_prefix "" { policy = "read" } and service_prefix "" { policy = "read" }'
const writeRule = 'node_prefix "" { policy = "write" } and service_prefix "" { policy = "write" }'

/** Whether the places of a kind can be cleared from here. */
export function isRemovable({ kind }: Place): boolean {
  return kind === 'dead' || kind === 'catalog' || kind === 'agent'
}

/** Looks through all nodes of Consul for services of one cluster, and clears places. */
export class Leftovers {
  readonly #http: ConsulHttp
  readonly #clusterName: string
  readonly #transactions: Transactions

  constructor(http: ConsulHttp, clusterName: string) {
    this.#http = http
    this.#clusterName = clusterName
    this.#transactions = new Transactions(http)
  }

  /**
   * Every node with services of ours, but where `home` keeps them.
   *
   * @param home undefined: none is left out
   * @throws ConsulError
   */
  async find(home: BackendKind | undefined, signal: AbortSignal): Promise<Place[]> {
    const found = new Map<string, Pick<ActualService, 'id' | 'name'>[]>()
    const kinds = await this.#read(
      home,
      ({ node, id, name }) => {
        const services = found.get(node)
        if (services === undefined) found.set(node, [{ id, name }])
        else services.push({ id, name })
      },
      signal,
    )
    const places = [...found].map(([node, services]) => ({ node, kind: kinds(node), services }))
    return places.sort((a, b) => (a.node < b.node ? -1 : 1))
  }

  /**
   * Reads every service of ours, but where `home` keeps them.
   *
   * @throws ConsulError
   */
  async read(home: BackendKind, each: (service: ActualService) => void, signal: AbortSignal): Promise<void> {
    await this.#read(home, each, signal)
  }

  /** @returns what kind of place a node is */
  async #read(
    home: BackendKind | undefined,
    each: (service: ActualService) => void,
    signal: AbortSignal,
  ): Promise<(node: string) => PlaceKind> {
    const options = { act: 'look for leftovers', rule: readRule, signal }
    const onSerf = { ...options, query: { filter: 'CheckID == "serfHealth"' } }
    type Check = { readonly Node: string }
    const [nodes, critical, passing, agent] = await Promise.all([
      this.#http.get<Check[]>('/catalog/nodes', options),
      this.#http.get<Check[]>('/health/state/critical', onSerf),
      this.#http.get<Check[]>('/health/state/passing', onSerf),
      this.#agentNode(signal),
    ])
    const dead = new Set(critical.body.map(({ Node }) => Node))
    const alive = new Set(passing.body.map(({ Node }) => Node))
    const kindOfNode = (node: string): PlaceKind => {
      if (node === agent) return 'agent'
      if (node === directoryNode(this.#clusterName).name) return 'catalog'
      if (dead.has(node)) return 'dead'
      return alive.has(node) ? 'alive' : 'external'
    }
    const others = nodes.body.map(({ Node }) => Node).filter((node) => kindOfNode(node) !== home)
    const failures: unknown[] = []
    await inParallel(others, atATime, signal, async (node) => {
      await this.#servicesOn(node, each, signal).catch((error: unknown) => failures.push(error))
    })
    if (failures.length > 0) throw failures[0]
    return kindOfNode
  }

  /**
   * Other clusters with services of podsonar but no registrar that is alive.
   *
   * @param seen names of other clusters that are known already; external nodes are looked through here
   */
  async abandoned(seen: ReadonlySet<string>, signal: AbortSignal): Promise<string[]> {
    type Node = { readonly Node: string; readonly Meta: Readonly<Record<string, string>> | null }
    const options = { act: 'look for abandoned clusters', rule: readRule, signal }
    const [{ body: nodes }, alive] = await Promise.all([
      this.#http.get<Node[]>('/catalog/nodes', options),
      livingRegistrars(this.#http, signal),
    ])
    const names = new Set(seen)
    for (const { Node, Meta } of nodes) {
      const name = Meta?.['cluster_name']
      if (name !== undefined && Node === directoryNode(name).name) names.add(name)
    }
    names.delete(this.#clusterName)
    for (const { clusterName } of alive) names.delete(clusterName)
    return [...names].sort()
  }

  async #agentNode(signal: AbortSignal): Promise<string> {
    const { body } = await this.#http.get<{ Config: { NodeName: string } }>('/agent/self', {
      act: 'ask the agent for its node name',
      rule: 'agent_prefix "" { policy = "read" }',
      signal,
    })
    return body.Config.NodeName
  }

  async #servicesOn(
    node: string,
    each: (service: ActualService) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await streamServices(
      this.#http,
      `/catalog/node/${encodeURIComponent(node)}`,
      {
        act: `read the services of the node ${node}`,
        rule: readRule,
        signal,
        query: { filter: `Meta.cluster_name == ${JSON.stringify(this.#clusterName)}` },
        inside: 'Services',
        node,
        wanted: (id) => kindOf(id) !== undefined || id.startsWith(heartbeatName),
      },
      (service) => {
        if (isOurs(service, this.#clusterName)) each(service)
      },
    )
  }

  /**
   * Whether the catalog has all of ours that the agent has: an agent tells its servers a moment after it was told.
   *
   * @throws ConsulError
   */
  async isTold(agent: Pick<Registry, 'read'>, signal: AbortSignal): Promise<boolean> {
    const untold = await this.#idsOf(agent, signal)
    await this.#servicesOn(await this.#agentNode(signal), ({ id }) => void untold.delete(id), signal)
    // What was removed from the agent meanwhile is in neither.
    return untold.size === 0 || untold.isDisjointFrom(await this.#idsOf(agent, signal))
  }

  async #idsOf(agent: Pick<Registry, 'read'>, signal: AbortSignal): Promise<Set<string>> {
    const ids = new Set<string>()
    await agent.read((service) => {
      if (kindOf(service.id) !== undefined && isOurs(service, this.#clusterName)) ids.add(service.id)
    }, signal)
    return ids
  }

  /** Takes away what was found at a removable place; our own external node goes as a whole. @throws ConsulError */
  async clear({ node, kind, services }: Place, signal: AbortSignal): Promise<void> {
    const options = { act: `remove ${services.length} services of the node ${node}`, rule: writeRule, signal }
    if (kind === 'catalog') {
      await this.#http.call(options, (common) => this.#http.client.catalog.deregister({ ...common, node }))
      return
    }
    const failures: string[] = []
    if (kind === 'agent') {
      await inParallel(services, atATime, signal, async ({ id }) => {
        await this.#http
          .call(options, (common) => this.#http.client.agent.service.deregister({ ...common, id }))
          .catch((error: unknown) => failures.push(String(error)))
      })
    } else {
      const items = services.map(({ id, name }) => ({
        subject: id,
        operations: [
          { Service: { Verb: 'delete' as const, Node: node, Service: { ID: id, Service: name } } },
        ],
      }))
      // What is left over elsewhere stays so, whoever leads: there is nothing to be kept out.
      const unfenced = { rule: writeRule, fence: undefined, signal }
      await this.#transactions.apply(items, unfenced, (_item, error) => {
        if (error !== undefined) failures.push(error.message)
      })
    }
    if (failures[0] !== undefined)
      throw new ConsulError('consul_failed', `Cannot ${options.act}: ${failures[0]}`)
  }
}

/** A registrar that said not long ago that it is alive. */
export interface LivingRegistrar extends Heartbeat {
  /** The Consul node that its heartbeat is on. */
  readonly node: string
  /** When it counts as gone if it says nothing more, in milliseconds since the epoch. */
  readonly goneAtMs: number
}

/** The registrars of all clusters that are alive, by their heartbeats. @throws ConsulError */
export async function livingRegistrars(http: ConsulHttp, signal: AbortSignal): Promise<LivingRegistrar[]> {
  type Entry = { readonly Node: string; readonly ServiceMeta: Readonly<Record<string, string>> | null }
  const { body } = await http.get<Entry[]>(`/catalog/service/${heartbeatName}`, {
    act: 'look for registrars that are alive',
    rule: `service "${heartbeatName}" { policy = "read" } and node_prefix "" { policy = "read" }`,
    signal,
  })
  return body.flatMap(({ Node: node, ServiceMeta }) => {
    const heartbeat = heartbeatOf(ServiceMeta)
    if (heartbeat === undefined) return []
    const goneAtMs = heartbeat.lastSyncMs + goneAfterMs
    return Date.now() < goneAtMs ? [{ ...heartbeat, node, goneAtMs }] : []
  })
}
