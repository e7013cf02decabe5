/** Pods to capture and their nodes' exporters, as the API server knows them. */
import { PodsonarError } from '../common/errors.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { CaptureCommand } from './core/arguments.ts'

export interface PodToCapture {
  readonly namespace: string
  readonly name: string
  readonly node: string
}

/** The exporter of a node. */
export interface ExporterPod {
  readonly namespace: string
  readonly name: string
  readonly port: number
  /** It serves HTTPS. */
  readonly tls: boolean
}

/** The part of v1.Pod that is read. */
interface ApiPod {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: { readonly nodeName?: string; readonly hostNetwork?: boolean }
  readonly status: { readonly phase?: string }
}

/** How deploy/kubernetes labels exporters. */
const exporterLabels = 'app.kubernetes.io/name=podsonar,app.kubernetes.io/component=exporter'
const defaultPort = 28_880

/** @throws PodsonarError `no_such_pod`, `host_network`, or as `KubernetesClient.json` */
export async function podsToCapture(
  client: KubernetesClient,
  { subject, namespace = 'default' }: CaptureCommand,
  signal: AbortSignal,
): Promise<PodToCapture[]> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`
  if (subject.kind === 'selector') {
    const found = await list(
      client,
      `${path}?labelSelector=${encodeURIComponent(subject.selector.text)}`,
      signal,
    )
    const pods = found.filter(({ spec }) => spec.hostNetwork !== true).flatMap(runningOn)
    if (pods.length > 0) return pods
    throw new PodsonarError(
      'no_such_pod',
      `Cannot capture pods of namespace ${namespace}: none that runs, with a network of its own, has the labels ${subject.selector.text}`,
    )
  }
  if (subject.kind !== 'pod') throw new Error(`${subject.kind} is for the node itself`)
  const pod = (await client.json({
    ...{
      act: `get pod ${namespace}/${subject.name}`,
      path: `${path}/${encodeURIComponent(subject.name)}`,
      signal,
    },
  })) as ApiPod
  const what = `Cannot capture pod ${namespace}/${subject.name}`
  if (pod.spec.hostNetwork === true)
    throw new PodsonarError(
      'host_network',
      `${what}: it uses the network of its node, where everybody's packets are; expected a pod with a network of its own`,
    )
  const [running] = runningOn(pod)
  if (running !== undefined) return [running]
  throw new PodsonarError(
    'no_such_pod',
    `${what}: it is ${pod.status.phase ?? 'unknown'}, expected one that runs`,
  )
}

/** @throws PodsonarError `no_exporter`, or as `KubernetesClient.json` */
export async function exporterOn(
  client: KubernetesClient,
  { node }: PodToCapture,
  namespace: string,
  signal: AbortSignal,
): Promise<ExporterPod> {
  const query = new URLSearchParams({ labelSelector: exporterLabels, fieldSelector: `spec.nodeName=${node}` })
  const pods = await list(client, `/api/v1/namespaces/${namespace}/pods?${query.toString()}`, signal)
  const found = pods.find((pod) => runningOn(pod).length > 0)
  if (found === undefined)
    throw new PodsonarError(
      'no_exporter',
      `Cannot find an exporter on node ${node}: no running pod in namespace ${namespace} has the labels ${exporterLabels}`,
    )
  const { name, annotations = {} } = found.metadata
  const port = Number(annotations['prometheus.io/port'] ?? defaultPort)
  return { namespace, name, port, tls: annotations['prometheus.io/scheme'] === 'https' }
}

async function list(client: KubernetesClient, path: string, signal: AbortSignal): Promise<readonly ApiPod[]> {
  const { items } = (await client.json({ act: 'list pods', path, signal })) as { items: readonly ApiPod[] }
  return items
}

function runningOn({ metadata: { namespace, name }, spec, status }: ApiPod): PodToCapture[] {
  return spec.nodeName !== undefined && status.phase === 'Running'
    ? [{ namespace, name, node: spec.nodeName }]
    : []
}
