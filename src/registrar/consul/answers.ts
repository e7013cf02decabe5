/** Consul's JSON, as far as it is read here, and its translation. */
import { JsonObjectCutter } from '../../common/json-cut.ts'
import type { JsonShape } from '../../common/json-pick.ts'
import { heartbeatName, kindOf, managedBy, type ActualService } from '../core/service.ts'
import { ConsulError } from './errors.ts'
import type { CallOptions, ConsulHttp } from './http.ts'
import type { Heartbeat } from './registry.ts'

/** A service of /v1/agent/services and of /v1/catalog/node/<node>. */
export interface ServiceAnswer {
  readonly ID: string
  readonly Service: string
  readonly Tags: readonly string[] | null
  readonly Meta: Readonly<Record<string, string>> | null
  readonly Port: number
  readonly Address: string
}

const serviceShape = {
  ID: 'all',
  Service: 'all',
  Tags: 'all',
  Meta: 'all',
  Port: 'all',
  Address: 'all',
} satisfies Record<keyof ServiceAnswer, JsonShape>

function fromAnswer(answer: ServiceAnswer, node: string): ActualService {
  return {
    id: answer.ID,
    name: answer.Service,
    address: answer.Address,
    port: answer.Port,
    tags: answer.Tags ?? [],
    meta: answer.Meta ?? {},
    node,
  }
}

export interface StreamOptions extends CallOptions {
  /** The member of the answer that holds the services; undefined: they are its root's. */
  readonly inside: string | undefined
  /** The name of the Consul node, for the records. */
  readonly node: string
  /** Which IDs are of interest. @default those of pods and nodes */
  readonly wanted?: (id: string) => boolean
}

/**
 * Reads services while the answer arrives.
 *
 * @returns false when the answer has an accepted status other than 200
 * @throws ConsulError, also when the answer is cut short
 */
export async function streamServices(
  http: ConsulHttp,
  path: string,
  { inside, node, wanted = isOurs, ...options }: StreamOptions,
  each: (service: ActualService) => void,
): Promise<boolean> {
  const cutter = new JsonObjectCutter(inside, serviceShape, (object) => {
    const answer = object as ServiceAnswer
    if (wanted(answer.ID)) each(fromAnswer(answer, node))
  })
  let bytes = 0
  let head = ''
  const found = await http.stream(path, options, (chunk) => {
    if (bytes < 8) head += chunk.toString('latin1', 0, 8)
    bytes += chunk.length
    cutter.push(chunk)
  })
  // "null" is the answer for a node that does not exist.
  if (found && head.trim() !== 'null' && !cutter.complete)
    throw new ConsulError('consul_bad_answer', `Cannot ${options.act}: the answer ended after ${bytes} bytes`)
  return found
}

function isOurs(id: string): boolean {
  return kindOf(id) !== undefined
}

/** The metadata of a heartbeat service. */
export function heartbeatMeta({ clusterName, clusterId, lastSyncMs }: Heartbeat): Record<string, string> {
  return {
    cluster_name: clusterName,
    managed_by: managedBy,
    cluster_id: clusterId,
    last_sync: new Date(lastSyncMs).toISOString(),
  }
}

/** The ID of the heartbeat of a cluster. */
export function heartbeatId(clusterName: string): string {
  return `${heartbeatName}--${clusterName}`
}

/** A heartbeat out of its service's metadata; undefined where it is none. */
export function heartbeatOf(meta: Readonly<Record<string, string>> | null): Heartbeat | undefined {
  if (meta === null) return undefined
  const lastSyncMs = Date.parse(meta['last_sync'] ?? '')
  const clusterName = meta['cluster_name']
  if (Number.isNaN(lastSyncMs) || clusterName === undefined) return undefined
  return { clusterName, clusterId: meta['cluster_id'] ?? '', lastSyncMs }
}
