/** Values for open-falcon's agent, as its /v1/push takes them. */
import type { Container } from './containers.ts'
import type { SocketSummary } from './socket-summary.ts'

/** One value; the field names are open-falcon's. */
export interface FalconValue {
  /** Whom it is about: the node. */
  readonly endpoint: string
  readonly metric: string
  /** Seconds since 1970. */
  readonly timestamp: number
  /** Seconds until the next one. */
  readonly step: number
  readonly value: number
  readonly counterType: 'GAUGE'
  /** `key=value`, comma-separated. */
  readonly tags: string
}

/** open-falcon's names of the figures. */
const metrics: Readonly<Record<keyof SocketSummary, string>> = {
  established: 'container.sockstat.established',
  inuse: 'container.sockstat.inuse',
  timewait: 'container.sockstat.timewait',
  orphan: 'container.sockstat.orphan',
  udp: 'container.sockstat.udp',
  total: 'container.sockstat.total',
}

/** The six values of one container. */
export function falconValues(
  container: Container,
  summary: SocketSummary,
  moment: Pick<FalconValue, 'endpoint' | 'timestamp' | 'step'>,
): FalconValue[] {
  const { pod, name } = container
  const tags = Object.entries({ container: name, namespace: pod?.namespace ?? '', pod: pod?.name ?? '' })
    .filter(([, value]) => value !== '')
    // What separates tags may not be in one.
    .map(([key, value]) => `${key}=${value.replace(/[,=\s]/g, '_')}`)
    .join(',')
  return (Object.keys(metrics) as (keyof SocketSummary)[]).map((figure) => ({
    ...moment,
    metric: metrics[figure],
    value: summary[figure],
    counterType: 'GAUGE',
    tags,
  }))
}
