/** The totals as one object, for programs. */
import { stackBounds, stackStages } from '../../exporter/core/decode-stack.ts'
import { bucketQuantile, type Quantiles } from './quantiles.ts'
import type { Picture } from './render.ts'
import { highest } from './summary.ts'

/** Paths and peers that are named at most. */
const named = 20

export function totalsOf({ pod, layers, summary, sidecar, states, stack, lost, nowMs }: Picture): object {
  return {
    type: 'totals',
    ...{ namespace: pod.namespace, pod: pod.name, seconds: summary.secondsSince(nowMs), lost },
    ...(layers.has('socket')
      ? {
          connections: {
            accepted: summary.opened.inbound.total,
            connected: summary.opened.outbound.total,
            failed: summary.failed.total,
            closed: summary.closed.total,
            bytesReceived: summary.received.total,
            bytesSent: summary.sent.total,
            retransmits: summary.retransmits.total,
            connectSeconds: ofTimes(summary.connectTimes),
            lifetimeSeconds: ofTimes(summary.lifetimes),
            states: Object.fromEntries(states),
            peers: Object.fromEntries(highest(summary.peers, (one) => one.connections + one.failed, named)),
          },
          sidecar: {
            processingSeconds: ofTimes(sidecar.inside),
            connectSeconds: ofTimes(sidecar.connect),
            reused: sidecar.reused,
          },
        }
      : {}),
    requests: Object.fromEntries(
      [...summary.requests].map(([kind, { requests, failed, times, statuses, paths }]) => [
        kind,
        {
          ...{ total: requests.total, failed: failed.total, seconds: ofTimes(times) },
          statuses: Object.fromEntries(statuses),
          paths: Object.fromEntries(
            highest(paths, (one) => one.count, named).map(([path, one]) => [
              path,
              { count: one.count, failed: one.failed, seconds: ofTimes(one.times) },
            ]),
          ),
        },
      ]),
    ),
    ...(stack === undefined
      ? {}
      : {
          stack: {
            stages: stackStages.map((stage, index) => {
              const { buckets, sumSeconds } = stack.stages[index] ?? {
                buckets: new Float64Array(0),
                sumSeconds: 0,
              }
              const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) =>
                bucketQuantile(share, stackBounds, buckets),
              )
              const packets = buckets.reduce((sum, value) => sum + value, 0)
              return { ...stage, packets, seconds: { sum: sumSeconds, p50, p95, p99 } }
            }),
            dropped: Object.fromEntries(stack.drops),
            interfaces: stack.interfaces.map(({ traffic: { namespace: _inode, ...traffic } }) => traffic),
          },
        }),
  }
}

function ofTimes(times: Quantiles): object {
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => {
    const ns = times.at(share)
    return ns === undefined ? undefined : ns / 1e9
  })
  return { count: times.count, sum: times.sumSeconds, p50, p95, p99 }
}
