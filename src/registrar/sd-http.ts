import { sendJsonList } from '../common/web/json-list.ts'
import { sendError, type Handler } from '../common/web/reply.ts'
import { targetGroup } from './core/consul-labels.ts'
import { isOurs } from './core/decide.ts'
import type { DirectoryNode } from './core/directory-node.ts'
import type { RegistrarStatus } from './status.ts'

/**
 * `/sd/http`: the services that are registered, for Prometheus' http_sd. Until they are known, and on a replica that does
 * not lead, the answer is 503: Prometheus then keeps the targets that it has.
 */
export function httpDiscovery(status: () => RegistrarStatus | undefined, node: DirectoryNode): Handler {
  return async (_request, response) => {
    const now = status()
    if (now?.leading !== true || now.lastSuccess === undefined) {
      const why = now?.leading === false ? 'this replica does not lead' : 'nothing was reconciled yet'
      sendError(response, 503, 'not_known_yet', `Cannot list the targets: ${why}, expected to be asked again`)
      return
    }
    const ours = [...now.actual.values()].filter((service) => isOurs(service, now.clusterName))
    await sendJsonList(response, ours, (service) => targetGroup(service, node))
  }
}
