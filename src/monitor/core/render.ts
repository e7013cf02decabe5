/** The summary as lines of text: what a terminal shows, and what is printed at the end. */
import { stackBounds, type InterfaceTraffic, type StageTimes } from '../../exporter/core/decode-stack.ts'
import type { Layer } from './arguments.ts'
import { bytes, clock, count, duration, fit, table } from './format.ts'
import type { MonitoredPod } from './pod.ts'
import { bucketQuantile, type Quantiles } from './quantiles.ts'
import type { SidecarTimes } from './sidecar.ts'
import { highest, type Rate, type RequestKind, type Summary } from './summary.ts'

/** What is to be shown. */
export interface Picture {
  readonly pod: MonitoredPod
  readonly layers: ReadonlySet<Layer>
  readonly summary: Summary
  readonly sidecar: SidecarTimes
  /** Sockets of the pod by TCP state, in words; those of a state that none is in may be absent. */
  readonly states: ReadonlyMap<string, number>
  /** Undefined where the network stack is not looked at. */
  readonly stack: StackPicture | undefined
  /** Events that could not be shown. */
  readonly lost: number
  readonly nowMs: number
  /** Rates are those of the whole time. */
  readonly isFinal: boolean
}

export interface StackPicture {
  /** In the order of `stackStages`. */
  readonly stages: readonly StageTimes[]
  readonly interfaces: readonly {
    readonly traffic: InterfaceTraffic
    readonly received: Rate
    readonly sent: Rate
  }[]
  /** Packets by reason. */
  readonly drops: ReadonlyMap<string, number>
}

/** In the order of `stackStages`; one that no packet was in is not shown. */
const stageNames = [
  'receive: waits for the stack',
  'receive: IP',
  'receive: IP, waits for process',
  'receive: TCP',
  'receive: IP and UDP',
  'receive: application reads',
  'receive: in all',
  'send: waits to be sent',
  'send: IP',
  'send: device queue',
] as const

/**
 * @param width columns of the terminal
 * @param rows of paths and of peers that are shown at most
 */
export function renderSummary(picture: Picture, width: number, rows: number): string[] {
  const { pod, layers, summary, lost, nowMs } = picture
  const title = `${pod.namespace}/${pod.name} on ${pod.node}, ${clock(summary.secondsSince(nowMs))}`
  const lines = [fit(title, width)]
  if (layers.has('socket')) lines.push('', ...renderConnections(picture, width, rows))
  if (layers.has('socket') && pod.containers.some(({ isSidecar }) => isSidecar))
    lines.push('', ...renderSidecar(picture.sidecar, width))
  for (const kind of ['http served', 'http made', 'grpc served', 'grpc made'] as const)
    if (layers.has(kind.startsWith('http') ? 'http' : 'grpc'))
      lines.push(...renderRequests(picture, kind, width, rows))
  if (picture.stack !== undefined) lines.push('', ...renderStack(picture, picture.stack, width))
  if (lost > 0)
    lines.push(
      '',
      fit(`${count(lost)} events could not be told: more came at once than there was room for`, width),
    )
  return lines
}

/** Of a rate, and what stands above it. */
function rates({ isFinal, summary, nowMs }: Picture): { title: string; of: (rate: Rate) => number } {
  const seconds = Math.max(1e-3, summary.secondsSince(nowMs))
  return isFinal
    ? { title: 'mean/s', of: ({ total }) => total / seconds }
    : { title: 'now/s', of: ({ perSecond }) => perSecond }
}

const ofTimes = (times: Quantiles): string[] => [0.5, 0.95, 0.99].map((share) => duration(times.at(share)))

function renderConnections(picture: Picture, width: number, rows: number): string[] {
  const { summary, states } = picture
  const { title, of } = rates(picture)
  const { opened, failed, closed, received, sent, retransmits, connectTimes, lifetimes, peers } = summary
  const line = (name: string, rate: Rate, times?: Quantiles): string[] => [
    name,
    count(of(rate)),
    count(rate.total),
    ...(times === undefined ? ['', '', ''] : ofTimes(times)),
  ]
  const lines = table(
    [
      ['TCP connections', title, 'total', 'p50', 'p95', 'p99'],
      line('accepted', opened.inbound),
      line('connected, time to connect', opened.outbound, connectTimes),
      line('failed to connect', failed),
      line('ended, lifetime', closed, lifetimes),
      ['received by ended ones', bytes(of(received)), bytes(received.total), '', '', ''],
      ['sent by ended ones', bytes(of(sent)), bytes(sent.total), '', '', ''],
      line('sent again by ended ones', retransmits),
    ],
    width,
  )
  const now = [...states]
    .filter(([, sockets]) => sockets > 0)
    .map(([state, sockets]) => `${state} ${count(sockets)}`)
  lines.push(fit(`sockets now: ${now.length === 0 ? 'none' : now.join(', ')}`, width))
  if (peers.size === 0) return lines
  const top = highest(peers, ({ connections, failed: refused }) => connections + refused, rows)
  lines.push(
    '',
    ...table(
      [
        [`top peers (of ${peers.size})`, 'connections', 'failed', 'received', 'sent'],
        ...top.map(([name, one]) => [
          name,
          ...[count(one.connections), count(one.failed), bytes(one.bytesReceived), bytes(one.bytesSent)],
        ]),
      ],
      width,
    ),
  )
  return lines
}

function renderSidecar({ inside, connect, reused }: SidecarTimes, width: number): string[] {
  const none = ['', '', '']
  return table(
    [
      ['sidecar', 'count', 'p50', 'p95', 'p99'],
      ['from caller to own connect', count(inside.count), ...ofTimes(inside)],
      ['time to connect to service', count(connect.count), ...ofTimes(connect)],
      ['callers without new connect', count(reused.caller), ...none],
      ['connects without new caller', count(reused.service), ...none],
    ],
    width,
  )
}

const titles: Readonly<Record<RequestKind, string>> = {
  'http served': 'HTTP requests served',
  'http made': 'HTTP requests made',
  'grpc served': 'gRPC calls served',
  'grpc made': 'gRPC calls made',
}

function renderRequests(picture: Picture, kind: RequestKind, width: number, rows: number): string[] {
  const { title, of } = rates(picture)
  const figures = picture.summary.requests.get(kind)
  if (figures === undefined) return ['', fit(`${titles[kind]}: none yet`, width)]
  const { requests, failed, times, statuses, paths } = figures
  const top = highest(paths, (one) => one.count, rows)
  const lines = table(
    [
      [titles[kind], title, 'total', 'failed', 'p50', 'p95', 'p99'],
      ['all', count(of(requests)), count(requests.total), count(failed.total), ...ofTimes(times)],
      ...top.map(([name, one]) => [name, '', count(one.count), count(one.failed), ...ofTimes(one.times)]),
    ],
    width,
  )
  const byStatus = highest(statuses, (value) => value, 8).map(
    ([status, value]) => `${status} ${count(value)}`,
  )
  return ['', ...lines, fit(`status: ${byStatus.join(', ')}`, width)]
}

function renderStack(picture: Picture, { stages, interfaces, drops }: StackPicture, width: number): string[] {
  const { title, of } = rates(picture)

  const quantile = (share: number, { buckets }: StageTimes): string => {
    const seconds = bucketQuantile(share, stackBounds, buckets)
    return duration(seconds === undefined ? undefined : seconds * 1e9)
  }
  const rows = stageNames.flatMap((name, index) => {
    const times = stages[index]
    const packets = times?.buckets.reduce((sum, value) => sum + value, 0) ?? 0
    if (times === undefined || packets === 0) return []
    return [[name, count(packets), ...[0.5, 0.95, 0.99].map((share) => quantile(share, times))]]
  })
  const lines = table([['network stack', 'packets', 'p50', 'p95', 'p99'], ...rows], width)
  if (interfaces.length > 0)
    lines.push(
      ...table(
        [
          ['interface', `in, ${title}`, `out, ${title}`, 'in', 'packets in', 'out', 'packets out'],
          ...interfaces.map(({ traffic, received, sent }) => [
            traffic.name,
            ...[bytes(of(received)), bytes(of(sent))],
            ...[bytes(traffic.receiveBytes), count(traffic.receivePackets)],
            ...[bytes(traffic.transmitBytes), count(traffic.transmitPackets)],
          ]),
        ],
        width,
      ),
    )
  const dropped = highest(drops, (packets) => packets, 8).map(
    ([reason, packets]) => `${reason} ${count(packets)}`,
  )
  lines.push(fit(`packets dropped: ${dropped.length === 0 ? 'none' : dropped.join(', ')}`, width))
  return lines
}

/** What was found, before anything is shown of it. */
export function renderPod(pod: MonitoredPod, watched: string): string[] {
  const sidecars = pod.containers.filter((container) => container.isSidecar).map(({ name }) => name)
  return [
    `pod        ${pod.namespace}/${pod.name}`,
    `node       ${pod.node}`,
    `runtime    ${pod.runtime}`,
    `addresses  ${pod.addresses.join(', ') || 'none but loopback'}`,
    ...pod.containers.map(
      ({ name, image, pid, isSidecar }, index) =>
        `${index === 0 ? 'containers' : '          '} ${name}: process ${pid}, ${image}${isSidecar ? ' (sidecar)' : ''}`,
    ),
    `sidecar    ${sidecars.join(', ') || 'none'}`,
    `watched    ${watched}`,
  ].map((line) => fit(line, 1_000))
}
