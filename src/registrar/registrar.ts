import { describeError } from '../common/errors.ts'
import { EventLoopTurns } from '../common/event-loop.ts'
import { keepHeapsSmall } from '../common/heap.ts'
import { html, renderPage } from '../common/html.ts'
import type { ModeContext, RunningMode } from '../common/lifecycle.ts'
import { never } from '../common/lifecycle.ts'
import { createRegistry } from '../common/metrics.ts'
import { version } from '../common/version.ts'
import { sendText } from '../common/web/reply.ts'
import { opsHandler, probePaths } from '../common/web/ops.ts'
import { Readiness } from '../common/web/readiness.ts'
import { WebServer } from '../common/web/server.ts'
import type { RegistrarConfig } from '../config/registrar-settings.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { loadClusterConfig } from '../kubernetes/cluster-config.ts'
import { clusterIdOf } from '../kubernetes/cluster-id.ts'
import { openBackend } from './backend.ts'
import { clusterName } from './cluster-name.ts'
import { consulConnection } from './consul/connect.ts'
import { ConsulHttp } from './consul/http.ts'
import { heartbeatMs } from './consul/registry.ts'
import { DesiredServices } from './core/desired.ts'
import { directoryNode } from './core/directory-node.ts'
import { Guard } from './core/guard.ts'
import { printPlan, type PlanFormat } from './core/print-plan.ts'
import type { Plan } from './core/plan.ts'
import { shardChooser } from './core/shard.ts'
import { electsLeader, takePart } from './election.ts'
import { HeartbeatKeeper } from './heartbeat.ts'
import type { Leadership } from './leadership.ts'
import { registrarMetrics } from './metrics.ts'
import { registrarPage } from './page.ts'
import { peerMetrics, type PeerSources } from './peer-metrics.ts'
import { Reconciler } from './reconciler.ts'
import { httpDiscovery } from './sd-http.ts'
import { selfAddress } from './self-address.ts'
import { sourceMetrics } from './source-metrics.ts'
import { followNodes, followPods, followServices } from './sources.ts'
import type { RegistrarStatus } from './status.ts'

/** Composition root of MODE=registrar: owns everything that the mode opens. */
export async function startRegistrar(
  config: RegistrarConfig,
  { log, signal }: ModeContext,
): Promise<RunningMode> {
  await using owned = new AsyncDisposableStack()
  const registry = createRegistry('registrar', owned.use(new EventLoopTurns()))
  const readiness = new Readiness()
  const clusterConfig = loadClusterConfig({ kubeconfig: config.kubeconfig })
  const live: { reconciler?: Reconciler; leadership?: Leadership; peers?: PeerSources } = {}
  electsLeader(config)
  const consul =
    config.consulAddress === 'embedded'
      ? undefined
      : new ConsulHttp({
          ...consulConnection(config),
          // A look at the term ends it when its time is up, though its timer may be late.
          beforeCall: () => live.leadership?.term,
        })
  if (consul !== undefined) owned.use(consul)
  const name = await clusterName(config.clusterName, consul, signal, log)

  const status = (): RegistrarStatus | undefined => live.reconciler?.status
  const facts = {
    consul: consul?.url.host ?? 'embedded',
    backend: consul === undefined ? 'embedded' : config.consulBackend,
    dryRun: config.dryRun,
  }
  const node = directoryNode(name, config.consulDatacenter)
  const server = owned.use(
    await WebServer.listen({
      setting: 'PORT',
      port: config.port,
      address: config.listenAddress,
      webConfigFile: config.webConfigFile,
      openPaths: probePaths,
      log,
      handler: opsHandler({
        registry,
        readiness,
        page: async (query) => {
          const now = status()
          const body = now === undefined ? html`<p>Starting.</p>` : await registrarPage(now, facts, query)
          return renderPage({ mode: 'registrar', version, body })
        },
        routes: {
          '/sd/http': httpDiscovery(status, node),
          '/metrics': async (_request, response) => {
            const own = await registry.metrics()
            const peers = live.peers === undefined ? '' : await peerMetrics(live.peers)
            sendText(response, 200, registry.contentType, own + peers)
          },
        },
      }),
    }),
  )
  const metrics = registrarMetrics(registry, status)

  const client = owned.use(new KubernetesClient(clusterConfig))
  const pods = owned.use(followPods(config, client, log))
  const nodes = owned.use(followNodes(config, client, log))
  if (config.peerInfo) live.peers = { pods, nodes, services: owned.use(followServices(config, client, log)) }
  const { peers } = live
  sourceMetrics(registry, () => (peers === undefined ? [pods, nodes] : [pods, nodes, peers.services]))
  const self = { address: config.listenAddress ?? selfAddress(), port: server.port }
  const backend = await openBackend(config, {
    ...{ consul, node, self, log, readiness },
    clusterName: name,
    onLeft: (services) => {
      metrics.leftovers(services)
    },
  })
  owned.use(backend.registry)
  // Before the reconciler, and so given up after it.
  const leadership = takePart(config, { client, readiness, log }, owned)
  live.leadership = leadership
  const heartbeat = new HeartbeatKeeper({
    registry: backend.registry,
    clusterName: name,
    clusterId: await clusterIdOf(clusterConfig),
    everyMs: Math.min(heartbeatMs, config.syncPeriodSeconds * 1000),
    log,
  })
  const reconciler = owned.use(
    new Reconciler({
      registry: backend.registry,
      ...{ pods, nodes, log, readiness, metrics },
      clusterName: name,
      policy: config.policy,
      guard: new Guard({ mode: config.deregisterGuard, maxPercent: config.maxDeregisterPercent }),
      services: new DesiredServices({
        ...config,
        clusterName: name,
        shardOf: shardChooser({
          shards: [...new Set(config.shardPaths)],
          strategy: config.shardStrategy,
          rebalance: config.shardRebalance,
        }),
      }),
      podsFollowNodes: config.podRoute === 'proxy',
      inheritFrom: config.shardPaths.length === 0 ? undefined : backend.earlier,
      syncPeriodMs: config.syncPeriodSeconds * 1000,
      leadership,
      heartbeat: config.dryRun ? undefined : heartbeat,
      printPlan: config.dryRun ? planPrinter(config.planFormat) : undefined,
      once: config.once,
      afterFull: (otherClusters, signal) => {
        // What fills the heap once, at the start, stays there; from now on little is added.
        keepHeapsSmall()
        return backend.afterFull(otherClusters, signal)
      },
    }),
  )
  live.reconciler = reconciler
  log.info(
    {
      event: 'registrar_started',
      cluster: name,
      consul: facts.consul,
      backend: facts.backend,
      api: clusterConfig.origin,
    },
    'Keeping Consul equal to the cluster',
  )
  const kept = owned.move()
  return {
    finished: config.once ? reconciler.finished : never,
    [Symbol.asyncDispose]: async () => {
      await kept.disposeAsync().catch((error: unknown) => {
        log.error({ event: 'stop_failed', error: describeError(error) }, 'Cannot stop cleanly')
      })
    },
  }
}

/** Prints plans to stdout, each once. */
function planPrinter(format: PlanFormat): (plan: Plan) => void {
  let last = ''
  return (plan) => {
    const text = printPlan(plan, format)
    if (text !== last) process.stdout.write(text)
    last = text
  }
}
