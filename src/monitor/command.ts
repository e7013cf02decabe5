/** `podsonar monitor`: finds the pod, says what it found, and shows what the pod does until it is told to stop. */
import { hostname } from 'node:os'
import { describeError, errorCode, PodsonarError } from '../common/errors.ts'
import { pause } from '../common/lifecycle.ts'
import type { Logger } from '../common/logger.ts'
import { html, renderPage } from '../common/html.ts'
import { version } from '../common/version.ts'
import { sendMetrics } from '../common/web/metrics-reply.ts'
import { opsHandler } from '../common/web/ops.ts'
import { Readiness } from '../common/web/readiness.ts'
import { WebServer } from '../common/web/server.ts'
import { encodeSpans, type Attributes } from '../exporter/core/requests/spans.ts'
import { SpanExporter } from '../exporter/requests/span-exporter.ts'
import type { RuntimesOptions } from '../exporter/runtimes/runtimes.ts'
import { monitorHelp, parseMonitorArguments, type MonitorCommand } from './core/arguments.ts'
import { encodeConnections } from './core/connection-spans.ts'
import type { MonitoredPod } from './core/pod.ts'
import { renderPod } from './core/render.ts'
import { PodFinder } from './find-pod.ts'
import { MonitorMetrics } from './metrics.ts'
import { LinesOutput, SummaryOutput, type MonitorOutput } from './output.ts'
import { Watch } from './watch.ts'

/** What the environment says of this machine. */
export interface MonitorEnvironment extends Omit<RuntimesOptions, 'log'> {
  readonly procPath: string
  readonly cgroupPath: string
  readonly libbpf: string | undefined
  readonly nodeName: string
  readonly sidecarNames: readonly string[]
  readonly sidecarImages: readonly string[]
}

/** How often events are read, in milliseconds, and how many times less often the summary and the pod are looked at. */
const pollMs = 100
const [lookEvery, findEvery, pushEvery] = [10, 20, 150]
/** What the exporter calls a node that has no name. */
const unknownNode = 'unknown'

/**
 * Runs `podsonar monitor ARGS`.
 *
 * @param signal aborted to end it; totals are printed then
 * @returns the exit status
 * @throws SettingsError for what cannot be understood; PodsonarError for what cannot be looked at
 */
export async function monitorCommand(
  args: readonly string[],
  environment: MonitorEnvironment,
  log: Logger,
  signal: AbortSignal,
): Promise<number> {
  const command = parseMonitorArguments(args, process.stdout.isTTY)
  if (command === undefined) {
    process.stdout.write(monitorHelp)
    return 0
  }
  for (const note of command.notes) say(note)
  if (process.getuid?.() !== 0)
    throw new PodsonarError(
      'no_permission',
      'Cannot look at a pod as this user: expected root on the node of the pod',
    )
  const { sidecarNames: names, sidecarImages: images, libbpf, ...node } = environment
  using finder = new PodFinder({ ...node, sidecars: { names, images }, log })
  const nodeName =
    command.nodeName ?? (environment.nodeName === unknownNode ? hostname() : environment.nodeName)
  const pod = await finder.find(command, nodeName)
  const gone = new AbortController()
  const onGone = (): void => {
    gone.abort()
  }
  process.stdout.on('error', onGone)
  const until = AbortSignal.any([
    ...[signal, gone.signal],
    ...(command.seconds === undefined ? [] : [AbortSignal.timeout(command.seconds * 1_000)]),
  ])
  using output: MonitorOutput =
    command.output === 'summary'
      ? new SummaryOutput(process.stdout)
      : new LinesOutput(process.stdout, command.output)
  output.found(pod, renderPod(pod, [...command.layers].join(', ')))
  const metrics = new MonitorMetrics(pod)
  await using watch = await Watch.open({
    ...{ pod, layers: command.layers, libbpf, metrics, log, procfs: finder.procfs },
    traced: command.otlpEndpoint !== undefined,
    onEvent: output.event,
  })
  await using _spans =
    command.otlpEndpoint === undefined ? undefined : sendSpans(command.otlpEndpoint, pod, watch, log)
  await using _server =
    command.listen === undefined ? undefined : await serve(command.listen, watch, metrics, pod, log)
  output.begin()
  await run({ command, finder, nodeName, watch, output, metrics, signal: until })
  output.totals(await watch.look(true))
  if (command.pushgateway !== undefined) await push(metrics, watch, command.pushgateway)
  return 0
}

interface Running {
  readonly command: MonitorCommand
  readonly finder: PodFinder
  readonly nodeName: string
  readonly watch: Watch
  readonly output: MonitorOutput
  readonly metrics: MonitorMetrics
  readonly signal: AbortSignal
}

/** Until it is told to end, or the pod is gone. */
async function run({ command, finder, nodeName, watch, output, metrics, signal }: Running): Promise<void> {
  let pushing: Promise<void> = Promise.resolve()
  for (let turn = 1; !signal.aborted; turn += 1) {
    await pause(pollMs, signal)
    watch.poll()
    if (turn % lookEvery === 0 && output.isRefreshing) output.refresh(await watch.look())
    if (turn % pushEvery === 0 && command.pushgateway !== undefined)
      pushing = push(metrics, watch, command.pushgateway)
    if (turn % findEvery !== 0) continue
    try {
      watch.follow(await finder.find(command, nodeName))
    } catch (error) {
      // Between two containers, or while the runtime restarts, there is nothing to be found for a moment.
      if (errorCode(error) !== 'no_such_pod') continue
      say('the pod is gone')
      break
    }
  }
  await pushing
}

/** A Pushgateway that is away for a moment is no reason to end. */
async function push(metrics: MonitorMetrics, watch: Watch, url: string): Promise<void> {
  await metrics.push(url, watch.stackFamilies()).catch((error: unknown) => {
    say(describeError(error))
  })
}

function say(text: string): void {
  process.stderr.write(`podsonar: ${text}\n`)
}

/** Two senders: connections have two services of the pod's name, requests that of the application. */
function sendSpans(endpoint: string, pod: MonitoredPod, watch: Watch, log: Logger): AsyncDisposable {
  const owned = new AsyncDisposableStack()
  const ofPod: Attributes = {
    'k8s.namespace.name': pod.namespace,
    'k8s.pod.name': pod.name,
    'k8s.pod.uid': pod.uid,
    'k8s.node.name': pod.node,
    'telemetry.source': 'podsonar',
  }
  const onSpans = (): void => undefined
  owned.use(
    new SpanExporter({
      ...{ endpoint, log, onSpans, take: () => Promise.resolve(watch.takeConnections()) },
      encode: (connections, options) => encodeConnections(connections, pod.name, options),
      resourceOf: (service) => ({ ...ofPod, 'service.name': service }),
    }),
  )
  owned.use(
    new SpanExporter({
      ...{ endpoint, log, onSpans, encode: encodeSpans, take: () => Promise.resolve(watch.takeRequests()) },
      resourceOf: (container) => ({ ...ofPod, 'service.name': pod.name, 'k8s.container.name': container }),
    }),
  )
  return owned
}

async function serve(
  { address, port }: { readonly address: string; readonly port: number },
  watch: Watch,
  { registry }: MonitorMetrics,
  pod: MonitoredPod,
  log: Logger,
): Promise<AsyncDisposable> {
  return WebServer.listen({
    ...{ setting: '--exporter-port', port, address, log },
    handler: opsHandler({
      ...{ registry, readiness: new Readiness() },
      page: () =>
        renderPage({
          ...{ mode: 'monitor', version },
          body: html`<p>What podsonar monitor sees of this pod is at <a href="/metrics">/metrics</a>.</p>
            <pre>${renderPod(pod, 'see the terminal').join('\n')}</pre>`,
        }),
      routes: {
        '/metrics': (request, response) => sendMetrics(request, response, watch.stackFamilies(), registry),
      },
    }),
  })
}
