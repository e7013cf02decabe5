import type { JsonShape } from '../common/json-pick.ts'
import { nodeShape, podShape, serviceShape } from './api-objects.ts'
import { projectNode } from './project-node.ts'
import { projectPod } from './project-pod.ts'
import { projectService } from './project-service.ts'
import type { NodeRecord, PodRecord, ServiceObjectRecord } from './records.ts'

/** What list and watch must know about a kind of object. */
export interface Resource<T> {
  /** The plural: `pods`. */
  readonly plural: string
  /** The path of its list, in one namespace or (undefined) in all. */
  path(namespace: string | undefined): string
  /** What {@link project} looks at: the rest of a list is not even parsed. */
  readonly shape: JsonShape
  /** Makes a record of an API object. @throws Error when it is not such an object */
  project(object: unknown): T
  uidOf(record: T): string
  /** What identifies it beside the UID: a new object may take the name of a deleted one. */
  nameOf(record: T): string
}

export const pods: Resource<PodRecord> = {
  plural: 'pods',
  shape: podShape,
  path: (namespace) =>
    namespace === undefined ? '/api/v1/pods' : `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`,
  project: projectPod,
  uidOf: ({ uid }) => uid,
  nameOf: ({ namespace, name }) => `${namespace}/${name}`,
}

export const nodes: Resource<NodeRecord> = {
  plural: 'nodes',
  shape: nodeShape,
  path: () => '/api/v1/nodes',
  project: projectNode,
  uidOf: ({ uid }) => uid,
  nameOf: ({ name }) => name,
}

export const services: Resource<ServiceObjectRecord> = {
  plural: 'services',
  shape: serviceShape,
  path: (namespace) =>
    namespace === undefined
      ? '/api/v1/services'
      : `/api/v1/namespaces/${encodeURIComponent(namespace)}/services`,
  project: projectService,
  uidOf: ({ uid }) => uid,
  nameOf: ({ namespace, name }) => `${namespace}/${name}`,
}
