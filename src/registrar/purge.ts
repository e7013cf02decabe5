import { describeError, PodsonarError } from '../common/errors.ts'
import type { ModeContext } from '../common/lifecycle.ts'
import type { RegistrarConfig } from '../config/registrar-settings.ts'
import { clusterName } from './cluster-name.ts'
import { consulConnection } from './consul/connect.ts'
import { ConsulHttp } from './consul/http.ts'
import { isRemovable, Leftovers, livingRegistrars, type Place } from './consul/leftovers.ts'

/**
 * `podsonar purge`: removes everything of CLUSTER_NAME from Consul, whichever backend wrote it. DRY_RUN only tells.
 *
 * @returns the lines to print
 * @throws PodsonarError `registrar_alive` while a registrar of that name is alive, and ConsulError
 */
export async function purge(config: RegistrarConfig, { log, signal }: ModeContext): Promise<string[]> {
  if (config.consulAddress === 'embedded')
    throw new PodsonarError(
      'nothing_to_purge',
      'Cannot purge: CONSUL_ADDRESS is embedded, there is no Consul',
    )
  using consul = new ConsulHttp(consulConnection(config))
  const name = await clusterName(config.clusterName, consul, signal, log)
  await refuseWhileAlive(consul, name, signal)

  const leftovers = new Leftovers(consul, name)
  const places = await leftovers.find(undefined, signal)
  const lines: string[] = []
  const failures: string[] = []
  for (const place of places) {
    const what = describe(place)
    if (!isRemovable(place)) {
      failures.push(`left: ${what}: purge again with CONSUL_ADDRESS set to that node's agent`)
      continue
    }
    if (config.dryRun) lines.push(`would remove ${what}`)
    else {
      try {
        await leftovers.clear(place, signal)
        lines.push(`removed ${what}`)
      } catch (error) {
        failures.push(`left: ${what}: ${describeError(error)}`)
      }
    }
  }
  if (failures.length > 0) throw new PodsonarError('purge_incomplete', [...lines, ...failures].join('\n'))
  return lines.length === 0 ? [`nothing of the cluster ${name} is in Consul`] : lines
}

function describe({ node, kind, services }: Place): string {
  const where = { agent: 'this agent', catalog: 'our external node', dead: 'a dead node' } as const
  const note = kind in where ? where[kind as keyof typeof where] : 'a node that we cannot change'
  return `${services.length} services of ${node} (${note})`
}

async function refuseWhileAlive(consul: ConsulHttp, name: string, signal: AbortSignal): Promise<void> {
  const alive = (await livingRegistrars(consul, signal)).find(({ clusterName }) => clusterName === name)
  if (alive === undefined) return
  const { node, lastSyncMs, goneAtMs } = alive
  throw new PodsonarError(
    'registrar_alive',
    `Cannot purge ${name}: its registrar wrote to Consul (node ${node}) at ${new Date(lastSyncMs).toISOString()}, ` +
      `expected it stopped. If it ended without saying so, purge again after ${new Date(goneAtMs).toISOString()}`,
  )
}
