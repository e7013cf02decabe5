import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { SettingsError } from '../common/errors.ts'
import type { Logger } from '../common/logger.ts'
import type { Readiness } from '../common/web/readiness.ts'
import type { RegistrarConfig } from '../config/registrar-settings.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { LeaseElection } from '../kubernetes/lease.ts'
import { isLoopback } from './consul/connect.ts'
import { soleLeadership, type Leadership } from './leadership.ts'

type Choice = Pick<RegistrarConfig, 'consulAddress' | 'consulBackend' | 'leaderElection' | 'dryRun'>

/**
 * Whether replicas elect a leader. By default those that write to the catalog do; one that writes nothing does not.
 *
 * @throws SettingsError where a leader makes no sense: every agent of a replica of its own, and every embedded catalog,
 *   needs its own registrar
 */
export function electsLeader({ consulAddress, consulBackend, leaderElection, dryRun }: Choice): boolean {
  const embedded = consulAddress === 'embedded'
  const own = embedded
    ? 'the embedded catalog (CONSUL_ADDRESS)'
    : consulBackend === 'agent' && isLoopback(new URL(consulAddress))
      ? `the agent on this machine (CONSUL_ADDRESS=${consulAddress}, CONSUL_BACKEND=agent)`
      : undefined
  if (leaderElection === true && own !== undefined) {
    throw new SettingsError([
      `LEADER_ELECTION: expected false with ${own}, which each replica has for itself, got true`,
    ])
  }
  return !dryRun && !embedded && (leaderElection ?? consulBackend === 'catalog')
}

export interface ElectionContext {
  readonly client: KubernetesClient
  readonly readiness: Readiness
  readonly log: Logger
}

/** Takes part in the election if there is one; what it opens is put into `owned`. */
export function takePart(
  config: RegistrarConfig,
  { client, readiness, log }: ElectionContext,
  owned: AsyncDisposableStack,
): Leadership {
  if (!electsLeader(config)) return soleLeadership
  const election = owned.use(
    LeaseElection.start({
      ...{ client, log },
      namespace: client.config.namespace,
      name: config.leaseName,
      identity: `${hostname()}_${randomUUID()}`,
    }),
  )
  const show = (): void => {
    const { holder, problem, term } = election
    readiness.set('lease', problem)
    const leader = holder === undefined ? 'nobody leads' : `${holder} leads`
    readiness.note('leader', term === undefined ? leader : 'this replica leads')
  }
  show()
  election.subscribe(show)
  return election
}
