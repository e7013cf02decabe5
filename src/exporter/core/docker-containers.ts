/** Docker's lists of containers, as /containers/json answers them. */
import type { Listing, Pod } from './containers.ts'

/** The fields that are used of a container in GET /containers/json (Engine API 1.24 and newer). */
export interface DockerContainer {
  readonly Id: string
  readonly Names: readonly string[] | null
  readonly Image: string
  readonly Labels: Readonly<Record<string, string>> | null
}

/** Labels of dockershim and cri-dockerd on the containers that they run for the kubelet. */
const typeLabel = 'io.kubernetes.docker.type'
const sandboxLabel = 'io.kubernetes.sandbox.id'
const kubeletLabels = 'io.kubernetes.'
/** They keep a pod's annotations as labels of its sandbox, too. */
const annotationLabels = 'annotation.'

/**
 * The running containers. Those of Kubernetes carry their pod, whose labels and annotations are those of its sandbox; the
 * sandboxes come apart. Others are plain containers under their own names.
 */
export function listDockerContainers(containers: readonly DockerContainer[]): Listing {
  const sandboxes = new Map(
    containers
      .filter(({ Labels }) => Labels?.[typeLabel] === 'podsandbox')
      .map((sandbox) => [sandbox.Id, podOf(sandbox.Labels ?? {})]),
  )
  const listed = containers.flatMap(({ Id: id, Names, Image: image, Labels }) => {
    if (sandboxes.has(id)) return []
    const labels = Labels ?? {}
    const name = labels['io.kubernetes.container.name'] ?? Names?.[0]?.replace(/^\//, '') ?? id.slice(0, 12)
    const isPods = labels['io.kubernetes.pod.name'] !== undefined
    const pod = isPods ? (sandboxes.get(labels[sandboxLabel] ?? '') ?? podOf(labels)) : undefined
    return [{ id, name, image, pod }]
  })
  return { containers: listed, sandboxes: [...sandboxes].map(([id, pod]) => ({ id, pod })) }
}

function podOf(labels: Readonly<Record<string, string>>): Pod {
  const own = Object.entries(labels).filter(([name]) => !name.startsWith(kubeletLabels))
  const isAnnotation = ([name]: [string, string]): boolean => name.startsWith(annotationLabels)
  return {
    name: labels['io.kubernetes.pod.name'] ?? '',
    namespace: labels['io.kubernetes.pod.namespace'] ?? '',
    uid: labels['io.kubernetes.pod.uid'] ?? '',
    labels: Object.fromEntries(own.filter((entry) => !isAnnotation(entry))),
    annotations: Object.fromEntries(
      own.filter(isAnnotation).map(([name, value]) => [name.slice(annotationLabels.length), value]),
    ),
  }
}

/**
 * The process id in GET /containers/ID/json.
 *
 * @returns 0 for a container that does not run; undefined when the answer has none
 */
export function dockerPid(inspected: unknown): number | undefined {
  const state = isRecord(inspected) ? inspected['State'] : undefined
  const pid = isRecord(state) ? state['Pid'] : undefined
  return typeof pid === 'number' && Number.isInteger(pid) && pid >= 0 ? pid : undefined
}

/** Whether a JSON value is the list that /containers/json answers. */
export function isDockerList(value: unknown): value is DockerContainer[] {
  return (
    Array.isArray(value) &&
    value.every(
      (one) =>
        isRecord(one) &&
        typeof one['Id'] === 'string' &&
        typeof one['Image'] === 'string' &&
        (one['Names'] === null || isTexts(one['Names'])) &&
        (one['Labels'] === null || (isRecord(one['Labels']) && isTexts(Object.values(one['Labels'])))),
    )
  )
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
