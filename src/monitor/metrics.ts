/** What is seen of a pod as metrics: for a scrape of --exporter-port, and for a Pushgateway. */
import { Counter, Gauge, Histogram, Pushgateway, Registry } from 'prom-client'
import { describeError, PodsonarError } from '../common/errors.ts'
import type { Family } from '../common/exposition.ts'
import { version } from '../common/version.ts'
import type { Exchange } from '../exporter/core/requests/exchange.ts'
import { durationBounds } from '../exporter/core/requests/series.ts'
import type { ConnectionChange } from '../exporter/core/sidecar/connection-tracker.ts'
import type { MonitoredPod } from './core/pod.ts'
import { sidecarBounds, sidecarMetrics } from '../exporter/core/sidecar/counts.ts'
import type { SidecarSign } from '../exporter/core/sidecar/matcher.ts'
import { kindOf, pathOf, statusOf } from './core/summary.ts'

/** Paths that are told apart at most. */
const maxPaths = 200
/** How long a push may take, in milliseconds. */
const pushMs = 5_000

export class MonitorMetrics {
  readonly registry = new Registry()
  readonly #events
  readonly #connect
  readonly #bytes
  readonly #requests
  readonly #sidecar
  readonly #paths = new Set<string>()
  readonly #pod: MonitoredPod

  constructor(pod: MonitoredPod) {
    this.#pod = pod
    const registers = [this.registry]
    this.registry.setDefaultLabels({ namespace: pod.namespace, pod: pod.name, node: pod.node })
    new Gauge({
      name: 'podsonar_build_info',
      help: 'Always 1; the labels say which podsonar this is.',
      labelNames: ['version', 'mode'],
      registers,
    }).set({ version, mode: 'monitor' }, 1)
    this.#events = new Counter({
      name: 'podsonar_monitor_connection_events_total',
      help: 'What happened to TCP connections of the pod, by event and by whom the connection is between.',
      labelNames: ['event', 'leg'],
      registers,
    })
    this.#connect = new Histogram({
      name: 'podsonar_monitor_connect_duration_seconds',
      help: 'Time from connect to established of outbound TCP connections.',
      labelNames: ['leg'],
      buckets: [...sidecarBounds],
      registers,
    })
    this.#bytes = new Counter({
      name: 'podsonar_monitor_connection_bytes_total',
      help: 'Bytes of TCP connections that have ended, by direction.',
      labelNames: ['direction', 'leg'],
      registers,
    })
    this.#requests = new Histogram({
      name: 'podsonar_monitor_request_duration_seconds',
      help: 'HTTP requests and gRPC calls that the pod served and made.',
      labelNames: ['kind', 'path', 'status'],
      buckets: [...durationBounds],
      registers,
    })
    if (!pod.containers.some(({ isSidecar }) => isSidecar)) return
    const { name, help } = sidecarMetrics.inside
    const buckets = [...sidecarBounds]
    const inside = new Histogram({ name, help, buckets, registers })
    const connect = new Histogram({
      ...{ name: sidecarMetrics.connect.name, help: sidecarMetrics.connect.help },
      ...{ buckets, registers },
    })
    const reused = new Counter({
      ...{ name: sidecarMetrics.reused.name, help: sidecarMetrics.reused.help },
      ...{ labelNames: ['side'], registers },
    })
    this.#sidecar = { inside, connect, reused }
  }

  addConnection({ step, connection }: ConnectionChange): void {
    const { leg = '', beganNs, stoodNs, bytesReceived, bytesSent } = connection
    this.#events.inc({ event: step, leg })
    if (step === 'connected' && beganNs !== undefined && stoodNs !== undefined)
      this.#connect.observe({ leg }, (stoodNs - beganNs) / 1e9)
    if (step !== 'closed') return
    this.#bytes.inc({ direction: 'received', leg }, bytesReceived)
    this.#bytes.inc({ direction: 'sent', leg }, bytesSent)
  }

  addExchange(exchange: Exchange): void {
    const path = pathOf(exchange)
    if (this.#paths.size < maxPaths) this.#paths.add(path)
    const labels = {
      kind: kindOf(exchange),
      path: this.#paths.has(path) ? path : '~other',
      status: statusOf(exchange),
    }
    const seconds = Math.max(0, exchange.endNs - exchange.startNs) / 1e9
    for (let times = 0; times < exchange.weight; times += 1) this.#requests.observe(labels, seconds)
  }

  /** Nothing where the pod has no sidecar. */
  addSidecar(sign: SidecarSign): void {
    if ('reused' in sign) this.#sidecar?.reused.inc({ side: sign.reused })
    else this.#sidecar?.[sign.what].observe(sign.ns / 1e9)
  }

  /**
   * @param families pushed with what the registry holds
   * @throws PodsonarError `push_failed`
   */
  async push(url: string, families: readonly Family[]): Promise<void> {
    const gateway = new Pushgateway(url, { timeout: pushMs }, new WithFamilies(this.registry, families))
    const { namespace, name } = this.#pod
    try {
      const { resp } = await gateway.push({
        jobName: 'podsonar_monitor',
        groupings: { namespace, pod: name },
      })
      const status = (resp as { statusCode?: number } | undefined)?.statusCode ?? 0
      if (status >= 300) throw new Error(`status ${status}`)
    } catch (error) {
      throw new PodsonarError('push_failed', `Cannot push metrics to ${url}: ${describeError(error)}`)
    }
  }
}

/** What a registry holds, and more. */
class WithFamilies extends Registry {
  readonly #registry: Registry
  readonly #families: readonly Family[]

  constructor(registry: Registry, families: readonly Family[]) {
    super()
    this.#registry = registry
    this.#families = families
  }

  override async metrics(): Promise<string> {
    return [
      await this.#registry.metrics(),
      ...this.#families.map((family) => family.render('prometheus')),
    ].join('')
  }
}
