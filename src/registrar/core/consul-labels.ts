import type { DirectoryNode } from './directory-node.ts'
import type { ServiceRecord } from './service.ts'

/** A target group of Prometheus' http_sd. */
export interface TargetGroup {
  readonly targets: readonly [string]
  readonly labels: Readonly<Record<string, string>>
}

/**
 * What consul_sd of Prometheus makes of a service that is registered on `node`, for http_sd: the same address and the
 * same `__meta_consul_*` labels, so that the same relabelling works with both. Tags are joined by `,`, its default.
 */
export function targetGroup(service: ServiceRecord, node: DirectoryNode): TargetGroup {
  const host = service.address.includes(':') ? `[${service.address}]` : service.address
  return {
    targets: [`${host}:${service.port}`],
    labels: {
      __meta_consul_address: node.address,
      __meta_consul_dc: node.datacenter,
      __meta_consul_health: 'passing',
      __meta_consul_node: node.name,
      __meta_consul_service: service.name,
      __meta_consul_service_address: service.address,
      __meta_consul_service_id: service.id,
      __meta_consul_service_port: String(service.port),
      __meta_consul_tags: `,${service.tags.join(',')},`,
      ...prefixed('__meta_consul_metadata_', node.meta),
      ...prefixed('__meta_consul_service_metadata_', service.meta),
    },
  }
}

function prefixed(prefix: string, meta: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(meta).map(([key, value]) => [prefix + key.replaceAll(/[^a-zA-Z0-9_]/g, '_'), value]),
  )
}
