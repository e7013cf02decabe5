import { connections } from './connections.ts'
import { containersAndNodes } from './containers.ts'
import { registrarAndProxy } from './control.ts'
import type { Dashboard } from './dashboard.ts'
import { overview } from './overview.ts'
import { requests } from './requests.ts'
import { tcpHealth } from './tcp-health.ts'

/** Every dashboard of deploy/grafana. */
export const dashboards: readonly Dashboard[] = [
  overview,
  connections,
  tcpHealth,
  requests,
  containersAndNodes,
  registrarAndProxy,
]
