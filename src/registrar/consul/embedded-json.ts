/** The embedded catalog's answers, field by field as Consul 1.8 gives them (test/fixtures/consul). */
import { isIPv4, isIPv6 } from 'node:net'
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
      TaggedAddresses: taggedAddresses(service.address, service.port),
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
    ServiceTaggedAddresses: taggedAddresses(service.address, service.port),
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

/** Those that Consul adds by itself; a host name gets none. */
function taggedAddresses(address: string, port: number): Record<string, { Address: string; Port: number }> {
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined
  if (family === undefined) return {}
  const own = { Address: address, Port: port }
  return { [`lan_${family}`]: own, [`wan_${family}`]: own }
}
