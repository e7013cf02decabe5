/** Pods and nodes as a Kubernetes API server words them: the recorded ones, with what a test is about put in. */
import { readFileSync } from 'node:fs'

export interface PodState {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** `status.podIP`; undefined while it has none. */
  readonly ip: string | undefined
  /** What `status.podIPs` has beyond it. */
  readonly otherIps: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly ports: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[]
  readonly nodeName: string | undefined
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'
  readonly ready: boolean
  readonly hostNetwork: boolean
  /** It has a deletionTimestamp. */
  readonly terminating: boolean
  /** The controlling owner. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined
}

export interface NodeState {
  readonly name: string
  readonly uid: string
  readonly internalIps: readonly string[]
  readonly kubeletPort: number
  readonly labels: Readonly<Record<string, string>>
  readonly ready: boolean
}

type Json = Readonly<Record<string, unknown>>

interface RecordedPod {
  readonly metadata: Json
  readonly spec: Json & { readonly containers: readonly [Json] }
  readonly status: Json & { readonly conditions: readonly Json[] }
}

interface RecordedNode {
  readonly metadata: Json
  readonly spec: Json
  readonly status: Json & { readonly conditions: readonly Json[] }
}

const recordedPod = firstItem('pods-list-page1.json') as RecordedPod
const recordedNode = firstItem('nodes-list.json') as RecordedNode

/** What real deployments carry and the recorded one does not; brings a pod to about 5 kB. */
const environment = Array.from({ length: 10 }, (_, index) => ({
  name: `APPLICATION_SETTING_${index}`,
  value: `value-${index}.internal.example`,
}))

function firstItem(file: string): unknown {
  const url = new URL(`../../test/fixtures/kubernetes/${file}`, import.meta.url)
  const list = JSON.parse(readFileSync(url, 'utf8')) as { items: unknown[] }
  return list.items[0]
}

/** A v1.Pod. */
export function podObject(pod: PodState, resourceVersion: string): Json {
  const { metadata, spec, status } = recordedPod
  const deletion = { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 30 }
  const controller = { apiVersion: 'apps/v1', ...pod.owner, uid: `owner-of-${pod.uid}`, controller: true }
  return {
    metadata: {
      ...metadata,
      name: pod.name,
      namespace: pod.namespace,
      uid: pod.uid,
      resourceVersion,
      ...(pod.terminating ? deletion : {}),
      labels: pod.labels,
      annotations: pod.annotations,
      ownerReferences: pod.owner === undefined ? undefined : [{ ...controller, blockOwnerDeletion: true }],
    },
    spec: {
      ...spec,
      nodeName: pod.nodeName,
      hostNetwork: pod.hostNetwork || undefined,
      containers: [
        {
          ...spec.containers[0],
          env: environment,
          ports: pod.ports.map(({ name, port, protocol = 'TCP' }) => ({
            name,
            containerPort: port,
            protocol,
          })),
        },
      ],
    },
    status: {
      ...status,
      phase: pod.phase,
      conditions: withReady(status.conditions, pod.ready),
      podIP: pod.ip,
      podIPs: pod.ip === undefined ? undefined : [pod.ip, ...pod.otherIps].map((ip) => ({ ip })),
    },
  }
}

/** A v1.Node. */
export function nodeObject(node: NodeState, resourceVersion: string): Json {
  const { metadata, spec, status } = recordedNode
  return {
    metadata: { ...metadata, name: node.name, uid: node.uid, resourceVersion, labels: node.labels },
    spec,
    status: {
      ...status,
      conditions: withReady(status.conditions, node.ready),
      addresses: [
        ...node.internalIps.map((address) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: node.name },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: node.kubeletPort } },
    },
  }
}

function withReady(conditions: readonly Json[], ready: boolean): Json[] {
  return conditions.map((condition) =>
    condition['type'] === 'Ready' || condition['type'] === 'ContainersReady'
      ? { ...condition, status: ready ? 'True' : 'False' }
      : condition,
  )
}
