import { identityOf, isReady, type ApiContainer, type ApiPod } from './api-objects.ts'
import type { OwnerRecord, PodRecord, PortRecord } from './records.ts'

const annotationPrefix = 'prometheus.io/'
const noPorts: readonly PortRecord[] = []
const noAddresses: readonly string[] = []
const nothing: Readonly<Record<string, string>> = {}

/**
 * Keeps of a v1.Pod, as JSON of a list or watch, what podsonar uses. Pure.
 *
 * @throws Error when it has no name or UID
 */
export function projectPod(object: unknown): PodRecord {
  const { metadata, spec, status } = object as ApiPod
  const { uid, name } = identityOf('pod', metadata)
  const { namespace = 'default', labels, annotations, deletionTimestamp, ownerReferences } = metadata ?? {}
  const controller = ownerReferences?.find((owner) => owner.controller === true)
  return {
    uid,
    namespace,
    name,
    ip: status?.podIP === '' ? undefined : status?.podIP,
    otherIps: otherAddresses(status),
    hostNetwork: spec?.hostNetwork === true,
    nodeName: spec?.nodeName,
    phase: status?.phase ?? 'Unknown',
    ready: isReady(status?.conditions),
    terminating: deletionTimestamp !== undefined,
    annotations: pickAnnotations(annotations),
    labels: labels ?? nothing,
    ports: projectPorts(spec?.containers),
    owner: projectOwner(controller),
  }
}

function otherAddresses(status: ApiPod['status']): readonly string[] {
  const others = (status?.podIPs ?? []).flatMap(({ ip = '' }) =>
    ip === '' || ip === status?.podIP ? [] : [ip],
  )
  return others.length === 0 ? noAddresses : others
}

function pickAnnotations(annotations: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const picked: Record<string, string> = {}
  for (const name in annotations) {
    const value = annotations[name]
    if (value !== undefined && name.startsWith(annotationPrefix)) picked[name] = value
  }
  return picked
}

function projectPorts(containers: readonly ApiContainer[] | undefined): readonly PortRecord[] {
  const ports = containers?.flatMap((container) =>
    (container.ports ?? []).map(({ name, containerPort, protocol }): PortRecord => ({
      name,
      port: containerPort,
      protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP',
    })),
  )
  return ports === undefined || ports.length === 0 ? noPorts : ports
}

function projectOwner(reference: { kind: string; name: string } | undefined): OwnerRecord | undefined {
  return reference === undefined ? undefined : { kind: reference.kind, name: reference.name }
}
