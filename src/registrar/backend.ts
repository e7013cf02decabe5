import type { Logger } from '../common/logger.ts'
import type { RegistrarConfig } from '../config/registrar-settings.ts'
import { AgentRegistry } from './consul/agent.ts'
import { CatalogRegistry } from './consul/catalog.ts'
import { EmbeddedCatalog } from './consul/embedded.ts'
import type { ConsulHttp } from './consul/http.ts'
import type { Registry } from './consul/registry.ts'
import type { DirectoryNode } from './core/directory-node.ts'

/** Where the services go. */
export interface Backend {
  readonly registry: Registry
  /** To be called after each full reconciliation that left nothing to do. */
  readonly afterFull: () => Promise<void>
}

export interface BackendContext {
  /** Undefined: CONSUL_ADDRESS=embedded. */
  readonly consul: ConsulHttp | undefined
  readonly clusterName: string
  readonly node: DirectoryNode
  /** Where this registrar itself is reached. */
  readonly self: { readonly address: string; readonly port: number }
  readonly log: Logger
}

/** Opens the backend that the settings choose. The registry is the caller's to dispose of. */
export async function openBackend(
  config: RegistrarConfig,
  { consul, clusterName, node, self, log }: BackendContext,
): Promise<Backend> {
  if (consul !== undefined) {
    const Chosen = config.consulBackend === 'agent' ? AgentRegistry : CatalogRegistry
    return { registry: new Chosen(consul, { clusterName, self }), afterFull: () => Promise.resolve() }
  }
  const { consulListen: port, listenAddress: address } = config
  const catalog = await EmbeddedCatalog.start({ node, self, port, address, log })
  return {
    registry: catalog,
    afterFull: () => {
      catalog.completed()
      return Promise.resolve()
    },
  }
}
