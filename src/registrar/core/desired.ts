/** What Consul should hold for a pod or a node. Pure: the same record gives the same services. */
import type { NodeRecord, PodRecord } from '../../kubernetes/records.ts'
import { scrapeTarget, type ScrapeTarget, type SkipReason } from '../../kubernetes/scrape-target.ts'
import { fitsValue, MetaBuilder, sanitiseKey } from './limits.ts'
import { idPrefixes, managedBy, ownTag, type ServiceRecord } from './service.ts'
import type { ShardChooser } from './shard.ts'
import { compileTemplate, seedNodeName, seedPodName, type Template } from './template.ts'
import { workloadOf } from './workload.ts'

export interface DesiredOptions {
  readonly clusterName: string
  /** Templates of service names and of the address under which a node's proxy is reached. */
  readonly podServiceName: string
  readonly nodeServiceName: string
  readonly nodeProxyAddress: string
  readonly nodeProxyPort: number
  readonly shardOf: ShardChooser
  /** Labels that become `label_…`; `*` stands for all. */
  readonly podLabels: readonly string[]
  readonly nodeLabels: readonly string[]
  /** How Prometheus reaches pods: their own address, or the proxy. */
  readonly podRoute: 'direct' | 'proxy'
}

/** Why something that is asked for is not registered; stable, also a metric label. */
export type DesiredSkipReason = SkipReason | 'no_node'

/** The outcome for one pod or node. */
export interface Desired {
  readonly services: readonly ServiceRecord[]
  /** Set where it should be registered but cannot be. */
  readonly skipped?: { readonly reason: DesiredSkipReason; readonly detail: string }
  /** What was put right on the way, for people. */
  readonly notes: readonly string[]
  /** How many metadata pairs Consul's limits left out. */
  readonly droppedMeta: number
}

/** What is known beyond the record itself. */
export interface DesiredContext {
  /** The shard that a service has now, in Consul or by an earlier choice. */
  readonly currentShard: (id: string) => string | undefined
  /** The first internal IP of a node by its name; undefined while it is unknown. */
  readonly nodeIp: (nodeName: string) => string | undefined
}

const nothing: Desired = { services: [], notes: [], droppedMeta: 0 }

/** Turns records into services. Made once per set of options. */
export class DesiredServices {
  readonly #options: DesiredOptions
  readonly #podName: Template
  readonly #nodeName: Template
  readonly #proxyAddress: Template
  readonly #podIdIsTag: boolean
  readonly #nodeIdIsTag: boolean

  constructor(options: DesiredOptions) {
    this.#options = options
    this.#podName = compileTemplate(options.podServiceName)
    this.#nodeName = compileTemplate(options.nodeServiceName)
    this.#proxyAddress = compileTemplate(options.nodeProxyAddress)
    this.#podIdIsTag = options.podServiceName === seedPodName
    this.#nodeIdIsTag = options.nodeServiceName === seedNodeName
  }

  /** The services of a pod: one per port, none where it is not a target. */
  ofPod(pod: PodRecord, context: DesiredContext): Desired {
    const target = scrapeTarget(pod)
    if (target.kind === 'unmarked') return nothing
    if (target.kind === 'skipped') return { ...nothing, skipped: target }
    const route = this.#route(pod, target, context)
    if (route === undefined) {
      const detail = `the node ${pod.nodeName ?? '(none yet)'}, whose proxy it is to be reached through, is not known`
      return { ...nothing, skipped: { reason: 'no_node', detail } }
    }
    let droppedMeta = 0
    const services: ServiceRecord[] = []
    const plainId = `${idPrefixes.pod}${pod.namespace}--${pod.name}`
    for (const port of target.ports) {
      const id = services.length === 0 ? plainId : `${plainId}--${port}`
      const path = route.path(port)
      if (!fitsValue(path)) {
        const detail = `the path through the proxy, ${path.slice(0, 80)}…, is longer than the 512 bytes that Consul keeps`
        return { ...nothing, skipped: { reason: 'invalid_path', detail } }
      }
      const service = this.#podService(pod, target, { id, port, path, route, context })
      services.push(service.record)
      droppedMeta += service.dropped
    }
    return { services, notes: target.notes, droppedMeta }
  }

  #route(pod: PodRecord, target: ScrapeTarget, context: DesiredContext): Route | undefined {
    if (this.#options.podRoute === 'direct')
      return {
        scheme: target.scheme,
        address: target.ip,
        port: (port) => port,
        path: () => target.path,
      }
    const ip = pod.nodeName === undefined ? undefined : context.nodeIp(pod.nodeName)
    if (ip === undefined && this.#options.nodeProxyAddress.includes('{ip}')) return undefined
    const address = this.#proxyAddress({
      ip: ip ?? '',
      node: pod.nodeName ?? '',
      cluster: this.#options.clusterName,
    })
    const base = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`
    return {
      // The proxy's own: how it reaches the pod is its affair.
      scheme: 'http',
      address,
      port: () => this.#options.nodeProxyPort,
      path: (port) => `${base}:${port}${target.path}`,
    }
  }

  #podService(
    pod: PodRecord,
    target: ScrapeTarget,
    { id, port, path, route, context }: PodServicePart,
  ): { record: ServiceRecord; dropped: number } {
    const { clusterName, shardOf, podLabels } = this.#options
    const shard = shardOf(id, context.currentShard(id))
    const workload = workloadOf(pod)
    const builder = new MetaBuilder()
    builder.set('cluster_name', clusterName)
    builder.set('namespace', pod.namespace)
    builder.set('pod_name', pod.name)
    builder.set('pod_ip', target.ip)
    builder.set('metric_ip', target.ip)
    builder.set('metrics_port', String(port))
    builder.set('metrics_path', path)
    builder.set('instance', hostPort(target.ip, port))
    if (shard !== undefined) builder.set('shard_path', shard)
    builder.set('managed_by', managedBy)
    builder.set('pod_uid', pod.uid)
    builder.set('ready', String(pod.ready))
    if (pod.nodeName !== undefined) builder.offer('node_name', pod.nodeName)
    if (workload !== undefined) {
      builder.offer('workload_kind', workload.kind)
      builder.offer('workload_name', workload.name)
    }
    builder.set('metrics_scheme', route.scheme)
    for (const name in target.params) builder.offer(`param_${name}`, target.params[name] ?? '')
    offerLabels(builder, podLabels, pod.labels)
    const name = this.#podName({
      cluster: clusterName,
      namespace: pod.namespace,
      pod: pod.name,
      workload: workload?.name ?? pod.name,
      shard: shard ?? '',
      node: pod.nodeName ?? '',
      ip: target.ip,
    })
    const tags = this.#podIdIsTag ? [ownTag, id] : [ownTag]
    const record = { id, name, address: route.address, port: route.port(port), tags, meta: builder.meta }
    return { record, dropped: builder.dropped }
  }

  /** The service of a node: its cAdvisor endpoint, reached through the proxy. */
  ofNode(node: NodeRecord, context: Pick<DesiredContext, 'currentShard'>): Desired {
    const ip = node.internalIps[0]
    if (ip === undefined) {
      return { ...nothing, skipped: { reason: 'no_ip', detail: 'it has no address of type InternalIP' } }
    }
    const { clusterName, shardOf, nodeProxyPort, nodeLabels } = this.#options
    const id = `${idPrefixes.node}${ip}`
    const shard = shardOf(id, context.currentShard(id))
    const builder = new MetaBuilder()
    builder.set('cluster_name', clusterName)
    builder.set('metrics_ip', ip)
    builder.set('metrics_port', String(nodeProxyPort))
    builder.set('metrics_path', `/api/v1/nodes/${hostPort(ip, node.kubeletPort)}/metrics/cadvisor`)
    if (shard !== undefined) builder.set('shard_path', shard)
    builder.set('managed_by', managedBy)
    builder.offer('node_name', node.name)
    builder.set('ready', String(node.ready))
    offerLabels(builder, nodeLabels, node.labels)
    const values = { cluster: clusterName, node: node.name, ip, shard: shard ?? '' }
    const record: ServiceRecord = {
      id,
      name: this.#nodeName(values),
      address: this.#proxyAddress(values),
      port: nodeProxyPort,
      tags: this.#nodeIdIsTag ? [ownTag, id] : [ownTag],
      meta: builder.meta,
    }
    return { services: [record], notes: [], droppedMeta: builder.dropped }
  }
}

interface Route {
  readonly scheme: 'http' | 'https'
  readonly address: string
  readonly port: (port: number) => number
  readonly path: (port: number) => string
}

interface PodServicePart {
  readonly id: string
  readonly port: number
  readonly path: string
  readonly route: Route
  readonly context: DesiredContext
}

function offerLabels(
  builder: MetaBuilder,
  wanted: readonly string[],
  labels: Readonly<Record<string, string>>,
): void {
  const names = wanted.includes('*') ? Object.keys(labels).sort() : wanted
  for (const name of names) {
    const value = labels[name]
    if (value !== undefined) builder.offer(`label_${sanitiseKey(name)}`, value)
  }
}

/** `ip:port`, an IPv6 address in brackets. */
export function hostPort(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}
