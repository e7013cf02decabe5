import type { Logger } from '../common/logger.ts'
import type { Readiness } from '../common/web/readiness.ts'
import type { RegistrarConfig } from '../config/registrar-settings.ts'
import { AgentRegistry } from './consul/agent.ts'
import { CatalogRegistry } from './consul/catalog.ts'
import { EmbeddedCatalog } from './consul/embedded.ts'
import type { ConsulHttp } from './consul/http.ts'
import { Leftovers } from './consul/leftovers.ts'
import type { Registry } from './consul/registry.ts'
import type { DirectoryNode } from './core/directory-node.ts'
import { LeftoverSweeper } from './leftover-sweeper.ts'

/** Where the services go. */
export interface Backend {
  readonly registry: Registry
  /** Reads the services of this cluster that are elsewhere from before; undefined where there is no Consul. */
  readonly earlier: Pick<Registry, 'read'> | undefined
  /** To be called after each comparison of everything that left nothing to do, with the other clusters seen. Never throws. */
  readonly afterFull: (otherClusters: ReadonlySet<string>, signal: AbortSignal) => Promise<void>
}

export interface BackendContext {
  /** Undefined: CONSUL_ADDRESS=embedded. */
  readonly consul: ConsulHttp | undefined
  readonly clusterName: string
  readonly node: DirectoryNode
  /** Where this registrar itself is reached. */
  readonly self: { readonly address: string; readonly port: number }
  readonly log: Logger
  readonly readiness: Readiness
  /** Told how many services of ours are left where they cannot be removed from here. */
  readonly onLeft: (services: number) => void
}

/** Opens the backend that the settings choose. The registry is the caller's to dispose of. */
export async function openBackend(config: RegistrarConfig, context: BackendContext): Promise<Backend> {
  const { consul, node, self, log } = context
  if (consul !== undefined) return openConsul(config.consulBackend, consul, context)
  const { consulListen: port, listenAddress: address } = config
  const catalog = await EmbeddedCatalog.start({ node, self, port, address, log })
  return {
    registry: catalog,
    earlier: undefined,
    afterFull: () => {
      catalog.completed()
      return Promise.resolve()
    },
  }
}

function openConsul(
  kind: 'agent' | 'catalog',
  consul: ConsulHttp,
  { clusterName, self, log, readiness, onLeft }: BackendContext,
): Backend {
  const options = { clusterName, self }
  const agent = new AgentRegistry(consul, options)
  const catalog = new CatalogRegistry(consul, options)
  const [registry, other] = kind === 'agent' ? [agent, catalog] : [catalog, agent]
  const leftovers = new Leftovers(consul, clusterName)
  const sweeper = new LeftoverSweeper({
    ...{ leftovers, backend: kind, log, readiness, onLeft },
    isInPlace: async (signal) => kind === 'catalog' || leftovers.isTold(agent, signal),
  })
  const earlier: Pick<Registry, 'read'> = {
    read: async (each, signal) => {
      // On the nodes of agents that were replaced, too; what an agent itself says is the latest.
      await leftovers.read(kind, each, signal)
      await other.read(each, signal)
    },
  }
  return { registry, earlier, afterFull: (clusters, signal) => sweeper.sweep(clusters, signal) }
}
