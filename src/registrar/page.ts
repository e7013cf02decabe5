import { facts, html, table, type Html } from '../common/html.ts'
import { hostPort } from './core/desired.ts'
import { kindOf } from './core/service.ts'
import type { RegistrarStatus } from './status.ts'

/** Rows of a table before the rest is only counted. */
const maxRows = 500

export interface PageFacts {
  readonly consul: string
  readonly backend: string
  readonly dryRun: boolean
}

/** The registrar's page: what is registered, skipped and why, shards, last syncs. */
export function registrarPage(status: RegistrarStatus, { consul, backend, dryRun }: PageFacts): Html {
  const skipped = [...status.skipped()]
  const notes = [...status.notes()]
  return html`
    ${facts([
      ['Cluster', status.clusterName],
      ['Consul', `${consul} (${backend})`],
      ['Writing', dryRun ? 'no: DRY_RUN' : status.leading ? 'yes' : 'no: another replica leads'],
      ['Registered', `${status.registered.pod} pods, ${status.registered.node} nodes`],
      ['Wanted', counted(status)],
      ['Last full reconciliation', status.lastSuccess?.toISOString() ?? 'not yet'],
      ['Metadata left out', `${status.droppedMeta} pairs beyond Consul's limits`],
    ])}
    ${status.problem === undefined ? '' : html`<p class="bad">${status.problem}</p>`}
    ${status.held.map(
      ({ services, kind, reason }) =>
        html`<p class="bad">${services.length} removals of ${kind}s are held: ${reason}.</p>`,
    )}
    <h2>Skipped</h2>
    ${limited(
      ['object', 'reason', 'found'],
      [
        ...skipped.map(({ object, reason, detail }) => [object, reason, detail]),
        ...status.conflicts.map(({ service, owner }) => [
          service.id,
          'id_conflict',
          `the ID belongs to ${owner === '' ? 'another service' : `the cluster ${owner}`}`,
        ]),
        ...status.refused.map(({ id, error }) => [id, 'refused', error]),
      ],
      'nothing is skipped',
    )}
    ${
      notes.length === 0
        ? ''
        : html`<h2>Put right</h2>
          ${limited(
            ['object', 'note'],
            notes.map(({ object, note }) => [object, note]),
            '',
          )}`
    }
    <h2>Shards</h2>
    ${table(['shard', 'services'], shardRows(status), 'no shards')}
    <h2>Last syncs</h2>
    ${table(
      ['at', 'scope', 'took', 'registered', 'updated', 'deregistered', 'failed', 'refused'],
      status.passes.map((pass) => [
        pass.at.toISOString(),
        pass.full ? 'all' : 'changes',
        `${pass.durationMs} ms`,
        ...[pass.registered, pass.updated, pass.deregistered, pass.failed, pass.refused],
      ]),
    )}
    <h2>Registered</h2>
    ${limited(
      ['service', 'ID', 'address', 'path', 'shard', 'ready'],
      [...status.actual.values()].map(({ id, name, address, port, meta }) => [
        name,
        id,
        hostPort(address, port),
        meta['metrics_path'] ?? '',
        meta['shard_path'] ?? '',
        meta['ready'] ?? '',
      ]),
      'nothing is registered',
    )}
  `
}

function counted({ desired }: RegistrarStatus): string {
  let nodes = 0
  for (const id of desired.keys()) if (kindOf(id) === 'node') nodes += 1
  return `${desired.size - nodes} pods, ${nodes} nodes`
}

function shardRows({ actual }: RegistrarStatus): [string, number][] {
  const counts = new Map<string, number>()
  for (const { meta } of actual.values()) {
    const shard = meta['shard_path']
    if (shard !== undefined) counts.set(shard, (counts.get(shard) ?? 0) + 1)
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
}

function limited(
  headers: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  empty: string,
): Html {
  const rest = rows.length - maxRows
  return html`${table(headers, rows.slice(0, maxRows), empty)}
  ${rest > 0 ? html`<p class="muted">and ${rest} more</p>` : ''}`
}
