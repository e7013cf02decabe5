import { EventLoopTurns } from '../common/event-loop.ts'
import { never, type ModeContext, type RunningMode } from '../common/lifecycle.ts'
import { createRegistry } from '../common/metrics.ts'
import { opsHandler } from '../common/web/ops.ts'
import type { PageQuery } from '../common/paged-table.ts'
import { Readiness } from '../common/web/readiness.ts'
import { WebServer } from '../common/web/server.ts'
import type { ProxyConfig } from '../config/proxy-settings.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { loadClusterConfig } from '../kubernetes/cluster-config.ts'
import { ListAndWatch } from '../kubernetes/list-and-watch.ts'
import { nodes as nodeResource, pods as podResource } from '../kubernetes/resource.ts'
import type { NodeRecord, PodRecord } from '../kubernetes/records.ts'
import type { Source } from '../kubernetes/source.ts'
import { allowNode, allowPod, type NodeRules, type Target } from './core/access.ts'
import { InFlight } from './core/in-flight.ts'
import { Refusal } from './core/refusal.ts'
import type { Route } from './core/route.ts'
import { Credentials } from './credentials.ts'
import { LastScrapes } from './last-scrapes.ts'
import { ProxyMetrics } from './metrics.ts'
import { Nodes } from './nodes.ts'
import { Pods } from './pods.ts'
import { proxyPage } from './page.ts'
import { scrape, type ScrapeOptions } from './scrape.ts'
import { Upstream } from './upstream.ts'

/** Composition root of MODE=proxy: the Kubernetes API as its source of nodes, and the proxy on it. */
export async function startProxy(config: ProxyConfig, { log }: ModeContext): Promise<RunningMode> {
  await using owned = new AsyncDisposableStack()
  const client = owned.use(new KubernetesClient(loadClusterConfig({ kubeconfig: config.kubeconfig })))
  const watching = { client, log, silenceMs: config.watchSilenceSeconds * 1_000 }
  const nodes = owned.use(ListAndWatch.start({ ...watching, resource: nodeResource }))
  const pods = config.podProxy
    ? owned.use(ListAndWatch.start({ ...watching, resource: podResource }))
    : undefined
  owned.use(await startProxyOn({ nodes, pods }, config, { log }))
  const kept = owned.move()
  return { finished: never, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** The proxy as it runs on a source of nodes. */
export interface RunningProxy extends RunningMode {
  /** Where the scrape routes are. */
  readonly port: number
  /** Where /metrics, /healthz, /readyz and the page are. */
  readonly opsPort: number
}

/** Whom the proxy may scrape. */
export interface ProxySources {
  readonly nodes: Source<NodeRecord>
  /** Undefined: pods are not scraped. */
  readonly pods: Source<PodRecord> | undefined
}

/** The proxy on its sources, which stay their owner's. */
export async function startProxyOn(
  sources: ProxySources,
  config: ProxyConfig,
  { log }: Pick<ModeContext, 'log'>,
): Promise<RunningProxy> {
  await using owned = new AsyncDisposableStack()
  const registry = createRegistry('proxy', owned.use(new EventLoopTurns()))
  const readiness = new Readiness()
  const last = new LastScrapes()
  const inFlight = new InFlight({ total: config.maxInFlight, perTarget: config.maxInFlightPerNode })

  if (config.kubeletInsecureTls)
    log.warn(
      { event: 'kubelet_tls_insecure' },
      'KUBELET_INSECURE_TLS: kubelets are not verified, whoever answers at the address of a node gets the token',
    )
  const { kubeletClientCertificate: certificateFile, kubeletClientKey: keyFile } = config
  const credentials = owned.use(
    await Credentials.open({
      authorityFile: config.kubeletCertificateAuthority,
      insecure: config.kubeletInsecureTls,
      tokenFile: config.kubeletTokenFile,
      client:
        certificateFile === undefined || keyFile === undefined ? undefined : { certificateFile, keyFile },
      report: (part, usable, problem) => {
        readiness.set(part, usable ? undefined : (problem ?? 'not read yet'))
        readiness.note(part, usable ? problem : undefined)
        if (problem !== undefined) log.warn({ event: `${part}_problem`, problem }, 'Cannot use a file')
        else log.info({ event: `${part}_read` }, 'Read what kubelets are reached with')
      },
    }),
  )

  const nodes = owned.use(new Nodes(sources.nodes))
  const metrics = new ProxyMetrics(registry, {
    nodes: () => nodes.count,
    inFlight: () => inFlight.total,
    connections: () => credentials.connections,
    tokenReadAtMs: () => credentials.tokenReadAtMs,
  })
  const tell = (
    part: string,
    { synced, problem }: { synced: boolean; problem: string | undefined },
  ): void => {
    readiness.set(part, synced ? undefined : (problem ?? `the list of ${part} is not complete yet`))
    readiness.note(part, synced ? problem : undefined)
  }
  nodes.onChange((removed) => {
    for (const node of removed) {
      metrics.forget(node)
      last.forget(node)
    }
    tell('nodes', nodes)
  })
  tell('nodes', nodes)
  const pods = sources.pods === undefined ? undefined : owned.use(new Pods(sources.pods))
  if (pods !== undefined) {
    pods.onChange(() => {
      tell('pods', pods)
    })
    tell('pods', pods)
  }

  const rules: NodeRules = {
    paths: new Set(['/metrics/cadvisor', ...config.proxyPaths]),
    allowLoopback: config.loopbackNodes,
  }
  const allow = (route: Route): Target => {
    if (route.kind === 'node') {
      if (!nodes.synced) throw new Refusal('not_ready', 'The proxy does not know the nodes yet')
      return allowNode(route, nodes.find(route.address), rules)
    }
    if (pods === undefined)
      throw new Refusal('not_found', 'Pods are not scraped through this proxy (POD_PROXY)')
    if (!pods.synced) throw new Refusal('not_ready', 'The proxy does not know the pods yet')
    return allowPod(route, pods.find(route.namespace, route.pod), rules)
  }
  const options: ScrapeOptions = {
    isNode: (name) => nodes.has(name),
    ...{ allow, credentials, inFlight, metrics, last, log },
    upstream: new Upstream(),
    timeouts: {
      defaultMs: config.scrapeTimeoutSeconds * 1_000,
      maxMs: config.maxScrapeTimeoutSeconds * 1_000,
      marginMs: config.scrapeMarginMs,
    },
    maxBytes: config.maxScrapeBytes,
  }
  const page = (query: PageQuery): Promise<string> =>
    proxyPage({
      query,
      nodes: nodes.all(),
      lastScrape: (node) => last.of(node),
      reasons: readiness.toJSON().reasons,
      notes: readiness.toJSON().notes,
      paths: [...rules.paths],
      inFlight: inFlight.total,
      nowMs: Date.now(),
    })

  const address = config.listenAddress
  const ops = owned.use(
    await WebServer.listen({
      ...{ setting: 'OPS_PORT', port: config.opsPort, address, log },
      handler: opsHandler({ registry, readiness, page }),
    }),
  )
  const scrapes = owned.use(
    await WebServer.listen({
      ...{ setting: 'PORT', port: config.port, address, log },
      webConfigFile: config.webConfigFile,
      handler: (request, response) => scrape(request, response, options),
    }),
  )
  const { port } = scrapes
  const opsPort = ops.port
  const kept = owned.move()
  return { port, opsPort, finished: never, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}
