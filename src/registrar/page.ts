import { facts, html, moment, table, type Html } from '../common/html.ts'
import { pagedTable, type PageQuery } from '../common/paged-table.ts'
import { hostPort } from './core/desired.ts'
import { kindOf, type ServiceRecord } from './core/service.ts'
import type { RegistrarStatus } from './status.ts'

export interface PageFacts {
  readonly consul: string
  readonly backend: string
  readonly dryRun: boolean
}

/** The registrar's page: what is registered, skipped and why, shards, last syncs. */
export async function registrarPage(
  status: RegistrarStatus,
  { consul, backend, dryRun }: PageFacts,
  query: PageQuery,
): Promise<Html> {
  const notes = [...status.notes()]
  return html`
    ${facts([
      ['Cluster', status.clusterName],
      ['Consul', consul === backend ? consul : `${consul} (${backend})`],
      ['Writing', dryRun ? 'no: DRY_RUN' : status.leading ? 'yes' : 'no: another replica leads'],
      ['Registered', `${status.registered.pod} pods, ${status.registered.node} nodes`],
      ['Wanted', counted(status)],
      ['Last full reconciliation', status.lastSuccess === undefined ? 'not yet' : moment(status.lastSuccess)],
      ['Metadata left out', `${status.droppedMeta} pairs beyond Consul's limits`],
    ])}
    ${status.problem === undefined ? '' : html`<p class="bad">${status.problem}</p>`}
    ${status.held.map(
      ({ services, kind, reason }) =>
        html`<p class="bad">${services.length} removals of ${kind}s are held: ${reason}.</p>`,
    )}
    ${query.form('Show what contains')}
    <h2>Skipped</h2>
    ${await plainTable(query, 'skipped', ['object', 'reason', 'found'], skippedRows(status), 'nothing is skipped')}
    ${
      notes.length === 0
        ? ''
        : html`<h2>Put right</h2>
            ${await plainTable(
              ...([query, 'notes', ['object', 'note']] as const),
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
        moment(pass.at),
        pass.full ? 'all' : 'changes',
        `${pass.durationMs} ms`,
        ...[pass.registered, pass.updated, pass.deregistered, pass.failed, pass.refused],
      ]),
    )}
    <h2>Registered</h2>
    ${await pagedTable(query, {
      name: 'registered',
      headers: ['service', 'ID', 'address', 'path', 'shard', 'ready'],
      // By their IDs alone, which sort many times faster than services: there are tens of thousands.
      items: status.actual.keys(),
      order: (ids) => {
        ids.sort()
      },
      text: (id) => searchText(status.actual.get(id)),
      cells: (id) => serviceCells(id, status.actual.get(id)),
      empty: 'nothing is registered',
    })}
  `
}

function searchText(service: ServiceRecord | undefined): string {
  if (service === undefined) return ''
  const { id, name, address, meta } = service
  return [name, id, address, ...Object.values(meta)].join(' ')
}

function serviceCells(id: string, service: ServiceRecord | undefined): string[] {
  if (service === undefined) return ['gone meanwhile', id, '', '', '', '']
  const { name, address, port, meta } = service
  return [
    ...[name, id, hostPort(address, port)],
    ...[meta['metrics_path'] ?? '', meta['shard_path'] ?? '', meta['ready'] ?? ''],
  ]
}

/** What is not registered, and why. */
function skippedRows(status: RegistrarStatus): string[][] {
  return [
    ...[...status.skipped()].map(({ object, reason, detail }) => [object, reason, detail]),
    ...status.conflicts.map(({ service, owner }) => [
      service.id,
      'id_conflict',
      `the ID belongs to ${owner === '' ? 'another service' : `the cluster ${owner}`}`,
    ]),
    ...status.refused.map(({ id, error }) => [id, 'refused', error]),
  ]
}

/** A table whose cells are what it is looked through by. */
function plainTable(
  query: PageQuery,
  name: string,
  headers: readonly string[],
  items: readonly (readonly string[])[],
  empty: string,
): Promise<Html> {
  const text = (row: readonly string[]): string => row.join(' ')
  return pagedTable(query, { name, headers, items, text, cells: (row) => row, empty })
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
