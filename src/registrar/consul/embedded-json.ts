/** The embedded catalog's answers, field by field as Consul 1.8 gives them for an external node. */
import type { DirectoryNode } from '../core/directory-node.ts'
import type { Instance } from './embedded-store.ts'

/** An entry of /v1/health/service/<name>. There are no checks: that counts as passing. */
export function healthEntry({ service, createIndex, modifyIndex }: Instance, node: DirectoryNode): unknown {
  return {
    Node: {
      ID: '',
      Node: node.name,
      Address: node.address,
      Datacenter: node.datacenter,
      TaggedAddresses: null,
      Meta: node.meta,
      CreateIndex: 1,
      ModifyIndex: 1,
    },
    Service: {
      ID: service.id,
      Service: service.name,
      Tags: service.tags,
      Address: service.address,
      Meta: service.meta,
      Port: service.port,
      Weights: { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
      Proxy: { MeshGateway: {}, Expose: {} },
      Connect: {},
      CreateIndex: createIndex,
      ModifyIndex: modifyIndex,
    },
    Checks: [],
  }
}

/** An entry of /v1/catalog/service/<name>. */
export function catalogEntry({ service, createIndex, modifyIndex }: Instance, node: DirectoryNode): unknown {
  return {
    ID: '',
    Node: node.name,
    Address: node.address,
    Datacenter: node.datacenter,
    TaggedAddresses: null,
    NodeMeta: node.meta,
    ServiceKind: '',
    ServiceID: service.id,
    ServiceName: service.name,
    ServiceTags: service.tags,
    ServiceAddress: service.address,
    ServiceWeights: { Passing: 1, Warning: 1 },
    ServiceMeta: service.meta,
    ServicePort: service.port,
    ServiceEnableTagOverride: false,
    ServiceProxy: { MeshGateway: {}, Expose: {} },
    ServiceConnect: {},
    CreateIndex: createIndex,
    ModifyIndex: modifyIndex,
  }
}

/** What consul_sd reads of /v1/agent/self. */
export function agentSelf(node: DirectoryNode): unknown {
  return { Config: { Datacenter: node.datacenter, NodeName: node.name } }
}
