import type { IncomingMessage, ServerResponse } from 'node:http'
import { Backoff } from '../common/backoff.ts'
import { describeError } from '../common/errors.ts'
import { EventLoopTurns } from '../common/event-loop.ts'
import { keepHeapsSmall } from '../common/heap.ts'
import { parseLabelSelector } from '../common/label-selector.ts'
import { never, pause, type ModeContext, type RunningMode } from '../common/lifecycle.ts'
import { createRegistry } from '../common/metrics.ts'
import { sendMetrics } from '../common/web/metrics-reply.ts'
import { opsHandler, probePaths } from '../common/web/ops.ts'
import { Readiness } from '../common/web/readiness.ts'
import { WebServer } from '../common/web/server.ts'
import type { CollectorName, ExporterConfig } from '../config/exporter-settings.ts'
import { openCapture } from './capture-route.ts'
import { Cgroupfs } from './cgroupfs.ts'
import type { Collector } from './collector.ts'
import { advtcpCollector } from './collectors/advtcp.ts'
import { connectionsCollector } from './collectors/connections.ts'
import { filesystemCollector } from './collectors/filesystem.ts'
import { networkCollector } from './collectors/network.ts'
import { processesCollector } from './collectors/processes.ts'
import { resourcesCollector } from './collectors/resources.ts'
import { grpcCollector, httpCollector } from './collectors/requests.ts'
import { sidecarCollector } from './collectors/sidecar.ts'
import { stackCollector } from './collectors/stack.ts'
import { readSummary, sockstatCollector } from './collectors/sockstat.ts'
import { tcpHealthCollector } from './collectors/tcp-health.ts'
import { tcpCollector, udpCollector } from './collectors/socket-usage.ts'
import { ContainerCache } from './container-cache.ts'
import { falconValues, type FalconValue } from './core/falcon.ts'
import { LabelMaker } from './core/labels.ts'
import { encodeSpans } from './core/requests/spans.ts'
import { chooseSocketTableSource } from './ebpf/choose-source.ts'
import type { RequestReading } from './ebpf/request-reader.ts'
import { openOrLeaveOut } from './ebpf/open-collector.ts'
import { SidecarSource } from './ebpf/sidecar-source.ts'
import { StackSource } from './ebpf/stack-source.ts'
import { TcpHealthSource } from './ebpf/tcp-health-source.ts'
import { EbpfWorker } from './ebpf/worker-client.ts'
import { FalconPusher } from './falcon.ts'
import { ExporterMetrics } from './metrics.ts'
import { NestedCgroups } from './nested-cgroups.ts'
import { exporterPage } from './page.ts'
import { podAddresses } from './pod-addresses.ts'
import { Procfs } from './procfs.ts'
import { ProcfsTableSource } from './procfs-table.ts'
import { RequestMetrics } from './requests/metrics.ts'
import { RequestObserver } from './requests/observer.ts'
import { SpanExporter } from './requests/span-exporter.ts'
import { Runtimes } from './runtimes/runtimes.ts'
import { scrapeBudgetMs, Scraper, type Collection } from './scrape.ts'
import { SharedTable } from './shared-table.ts'
import { eachNamespace } from './slices.ts'
import { SockopsMetrics } from './sockops/metrics.ts'
import { ShortCut } from './sockops/short-cut.ts'
import { HangableSpace } from './space.ts'
import { WritableLayers } from './writable-layers.ts'

/** Collectors that need the socket table: without them no eBPF program is loaded for it. */
const ofTable: ReadonlySet<CollectorName> = new Set(['connections', 'tcp', 'udp', 'tcp_health'])

/** The collector that must be begun before all others: see tcpHealthCollector. */
const first: CollectorName = 'tcp_health'

/** Composition root of MODE=exporter: owns everything that the mode opens. */
export async function startExporter(
  config: ExporterConfig,
  { log, signal }: ModeContext,
): Promise<RunningMode> {
  keepHeapsSmall()
  await using owned = new AsyncDisposableStack()
  const procfs = Procfs.open(config.procPath)
  const registry = createRegistry('exporter', owned.use(new EventLoopTurns()))
  const metrics = new ExporterMetrics(registry)
  const requestMetrics = new RequestMetrics(registry)
  const readiness = new Readiness()
  const skippedNamespace = (reason: string): void => {
    metrics.skipped('namespace', reason)
  }

  const runtimes = owned.use(
    new Runtimes({ choice: config.runtime, endpoints: config.runtimeEndpoints, log }),
  )
  const cgroupfs = new Cgroupfs(config.cgroupPath)
  const nested = new NestedCgroups(cgroupfs)
  const skippedContainer = (reason: string): void => {
    metrics.skipped('container', reason)
  }
  const containers = owned.use(
    new ContainerCache({
      ...{ runtimes, procfs, cgroupfs },
      onSkipped: (kind, reason) => {
        metrics.skipped(kind, reason)
      },
    }),
  )
  const inboundPorts = config.connectionsInboundPorts
  const procfsTable = owned.use(
    new ProcfsTableSource({ root: procfs.root, inboundPorts, onSkipped: skippedNamespace }),
  )
  const worker = owned.use(new EbpfWorker(log))
  const libbpf = config.libbpfPath
  const wantsHealth = config.collectors.includes('tcp_health')
  const tableChoice = config.collectors.some((name) => ofTable.has(name))
    ? config.connectionsSource
    : 'procfs'
  const source = await chooseSocketTableSource({
    ...{ choice: tableChoice, procfs: procfsTable, inboundPorts, live: wantsHealth },
    ...{ worker, libbpf, log },
    onPass: ({ torn }) => {
      metrics.torn(torn)
    },
  })
  const openIfWanted = async <T>(collector: CollectorName, open: () => Promise<T>): Promise<T | undefined> =>
    config.collectors.includes(collector) ? openOrLeaveOut(collector, open, log) : undefined
  const health = await openIfWanted('tcp_health', () =>
    TcpHealthSource.open({
      ...{ worker, libbpf, longSeconds: config.tcpHealthLongSeconds },
      maxConnections: config.tcpHealthMaxConnections,
    }),
  )
  const stack = await openIfWanted('stack', () => StackSource.open({ worker, libbpf }))
  const sidecars = await openIfWanted('sidecar', () => SidecarSource.open({ worker, libbpf }))
  const table = new SharedTable(source, signal)
  const labels = new LabelMaker(config.podLabels)
  const ofNamespaces = { procfs, labels, onSkipped: skippedNamespace }
  const ofContainers = { procfs, cgroupfs, labels, onSkipped: skippedContainer }
  const choice = {
    namespaces: config.observeNamespaces,
    selector: parseLabelSelector(config.observeSelector ?? ''),
  }
  const observer = config.collectors.some((name) => name === 'http' || name === 'grpc')
    ? owned.use(
        new RequestObserver({
          ...{ choice, labels, libbpf, log, snapshot: () => containers.refresh() },
          ...{ maxSeries: config.observeMaxSeries, maxConnections: config.observeMaxConnections },
          ringBytes: config.observeBufferMib << 20,
          node: config.nodeName,
          ...{ cgroupfs, procfs, followTls: config.observeTls, hooks: config.observeHooks },
          cpuShare: config.observeCpuPercent / 100,
          traceRatio: config.otlpEndpoint === undefined ? undefined : config.observeTracePercent / 100,
        }),
      )
    : undefined
  if (observer !== undefined && config.otlpEndpoint !== undefined)
    owned.use(
      new SpanExporter({
        ...{ endpoint: config.otlpEndpoint, log, encode: encodeSpans },
        take: async (stopped) => {
          const { spans, dropped } = await observer.takeSpans(stopped)
          requestMetrics.spans('dropped', dropped)
          return spans
        },
        resourceOf: (owner) => observer.resourceOf(owner),
        onSpans: (outcome, spans) => {
          requestMetrics.spans(outcome, spans)
        },
      }),
    )
  const ofRequests = (reading: RequestReading): void => {
    requestMetrics.update(reading)
  }
  const shortCut = config.sockops
    ? owned.use(
        new ShortCut({
          ...{ cgroupfs, procfs, libbpf, log, snapshot: () => containers.refresh() },
          maxConnections: config.sockopsMaxConnections,
          observeSeconds: config.sockopsObserveSeconds,
        }),
      )
    : undefined
  const sockopsMetrics = new SockopsMetrics(registry)
  const hangable = owned.use(new HangableSpace())

  const collectors: Record<CollectorName, () => Collector | undefined> = {
    connections: () =>
      connectionsCollector({
        ...{ table, labels, nested, node: config.nodeName },
        bounds: {
          maxSeriesPerPod: config.connectionsMaxSeriesPerPod,
          maxSeries: config.connectionsMaxSeries,
        },
        onFolded: (bound, series) => {
          metrics.folded(bound, series)
        },
      }),
    tcp: () => tcpCollector(table, labels),
    udp: () => udpCollector(table, labels),
    sockstat: () => sockstatCollector({ ...ofNamespaces, table }),
    advtcp: () => advtcpCollector(ofNamespaces),
    network: () => networkCollector(ofNamespaces),
    resources: () => resourcesCollector(ofContainers),
    processes: () => processesCollector(ofContainers),
    filesystem: () =>
      filesystemCollector({
        ...{ procfs, labels, hangable, layers: new WritableLayers(runtimes, log) },
        onSkipped: skippedContainer,
        onUnreadable: (mounts) => {
          metrics.unreadableMounts(mounts)
        },
      }),
    tcp_health: () =>
      health &&
      tcpHealthCollector({
        ...{ source: health, table, labels, nested },
        onReading: (connections, lost) => {
          metrics.tcpHealth(connections, lost)
        },
      }),
    http: () => observer && httpCollector({ observer, onReading: ofRequests }),
    stack: () =>
      stack &&
      stackCollector({
        ...{ source: stack, choice, labels },
        onReading: (lost) => {
          metrics.stack(lost)
        },
      }),
    sidecar: () =>
      sidecars &&
      sidecarCollector({
        ...{ source: sidecars, choice, labels, procfs, cgroupfs, onSkipped: skippedNamespace },
        sidecars: { names: config.sidecarNames, images: config.sidecarImages },
        onReading: (lost) => {
          metrics.sidecar(lost)
        },
      }),
    grpc: () => observer && grpcCollector({ observer, onReading: ofRequests }),
  }
  const scraper = new Scraper({
    collectors: [...new Set(config.collectors)]
      .toSorted((one, other) => Number(other === first) - Number(one === first))
      .flatMap((name) => collectors[name]() ?? []),
    snapshot: () => containers.refresh(),
    log,
  })
  const collect = async (budgetMs: number): Promise<Collection> => {
    const collection = await scraper.collect(budgetMs)
    metrics.update(collection, runtimes, table)
    if (shortCut !== undefined)
      sockopsMetrics.update(await shortCut.read(AbortSignal.timeout(budgetMs)).catch(() => undefined))
    readiness.set('runtime', runtimeProblem(runtimes))
    return collection
  }

  const captureRoutes = config.capture
    ? owned.use(await openCapture({ config, runtimes, procfs, metrics, log, signal })).routes
    : {}

  owned.use(
    await WebServer.listen({
      setting: 'PORT',
      port: config.port,
      address: config.listenAddress,
      webConfigFile: config.webConfigFile,
      openPaths: probePaths,
      bearerPaths: Object.keys(captureRoutes),
      log,
      handler: opsHandler({
        registry,
        readiness,
        page: async (query) => {
          using collection = await collect(scrapeBudgetMs(undefined))
          const { snapshot } = collection
          const addresses = snapshot === undefined ? new Map() : await podAddresses(snapshot, procfs, signal)
          return await exporterPage(
            {
              ...{
                addresses,
                node: config.nodeName,
                runtimes: runtimes.statuses,
                failures: runtimes.failures,
              },
              ...{ ...collection, table: table.latest, figures: table.figures },
            },
            query,
          )
        },
        routes: {
          ...captureRoutes,
          '/metrics': async (request: IncomingMessage, response: ServerResponse) => {
            using collection = await collect(
              scrapeBudgetMs(request.headers['x-prometheus-scrape-timeout-seconds']),
            )
            await sendMetrics(
              request,
              response,
              collection.results.flatMap(({ families = [] }) => families),
              registry,
            )
          },
        },
      }),
    }),
  )

  if (config.falconPushUrl !== undefined) {
    const { falconStepSeconds: stepSeconds } = config
    owned.use(
      new FalconPusher({
        ...{ url: config.falconPushUrl, stepSeconds, log },
        read: async (timestamp) => {
          const { namespaces } = await containers.refresh()
          const moment = { endpoint: config.nodeName, timestamp, step: stepSeconds }
          const values: FalconValue[] = []
          await eachNamespace(namespaces, signal, skippedNamespace, (namespace, pid) => {
            const summary = readSummary(procfs, pid)
            for (const container of namespace.containers)
              values.push(...falconValues(container, summary, moment))
          })
          return values
        },
        onPushed: (values) => {
          metrics.falcon('pushed', values)
        },
        onDropped: (values) => {
          metrics.falcon('dropped', values)
        },
      }),
    )
  }

  const stopped = new AbortController()
  const warmUp = untilListed(containers, runtimes, readiness, AbortSignal.any([signal, stopped.signal]))
  owned.defer(async () => {
    stopped.abort()
    await warmUp
  })
  const kept = owned.move()
  return { finished: never, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** Lists containers once, so that the exporter is ready before its first scrape; scrapes keep the readiness up to date. */
async function untilListed(
  containers: ContainerCache,
  runtimes: Runtimes,
  readiness: Readiness,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff({ maxMs: 5_000 })
  readiness.set('runtime', 'containers have not been listed yet')
  while (!signal.aborted) {
    try {
      await containers.refresh()
      readiness.set('runtime', runtimeProblem(runtimes))
      return
    } catch (error) {
      readiness.set('runtime', runtimeProblem(runtimes) ?? describeError(error))
      await pause(backoff.nextMs(), signal)
    }
  }
}

/** Why container runtimes are not to be relied on; undefined while one answers. */
function runtimeProblem({ statuses, failures }: Runtimes): string | undefined {
  if (statuses.some(({ failure }) => failure === undefined)) return undefined
  const reasons = [
    ...statuses.map(({ endpoint, failure }) => `${endpoint}: ${failure ?? ''}`),
    ...failures.map(({ endpoint, reason }) => `${endpoint}: ${reason}`),
  ]
  return reasons.length === 0 ? 'no container runtime listens on a usual socket' : reasons.join('; ')
}
