import { facts, html, renderPage, table, type Html } from '../common/html.ts'
import { pagedTable, type PageQuery } from '../common/paged-table.ts'
import { version } from '../common/version.ts'
import { connectionMap, type PodAddresses } from './core/connection-map.ts'
import { statusNames } from './core/connections.ts'
import type { NetworkNamespace, Snapshot } from './core/containers.ts'
import { tcpState, type NamespaceSockets, type SocketTable } from './core/socket-table.ts'
import type { FailedEndpoint } from './runtimes/detect.ts'
import { mapSvg } from './map-svg.ts'
import type { RuntimeStatus } from './runtimes/runtimes.ts'
import type { CollectorResult } from './scrape.ts'
import type { TableFigures } from './shared-table.ts'

/** What the page shows. */
export interface PageContent {
  readonly node: string
  readonly runtimes: readonly RuntimeStatus[]
  readonly failures: readonly FailedEndpoint[]
  readonly snapshot: Snapshot | undefined
  readonly table: SocketTable | undefined
  /** Which pod of this node has an address. */
  readonly addresses: PodAddresses
  readonly figures: TableFigures | undefined
  readonly results: readonly CollectorResult[]
}

/** States worth a column: those that tell of trouble or load. */
const shown = [
  ...[tcpState.established, tcpState.listen, tcpState.closeWait, tcpState.timeWait],
  ...[tcpState.finWait1, tcpState.finWait2, tcpState.synSent, tcpState.synRecv],
]

/** The page for people: a map of who talks to whom, each pod's sockets by state, runtimes, collectors. */
export async function exporterPage(content: PageContent, query: PageQuery): Promise<string> {
  const { node, runtimes, failures, snapshot, table: sockets, figures, results } = content
  const age =
    figures === undefined
      ? 'not read yet'
      : `${figures.rows} sockets from ${figures.source} in ${(figures.durationSeconds * 1_000).toFixed(1)} ms, ${figures.ageSeconds.toFixed(1)} s ago`
  return renderPage({
    mode: 'exporter',
    version,
    body: html`${facts([
      ['Node', node],
      ['Containers', snapshot?.containers.length ?? 'not listed'],
      ['Socket table', age],
    ])}
      ${query.form('Show pods that contain')}
      <h2>Who talks to whom</h2>
      ${
        snapshot === undefined || sockets === undefined
          ? html`<p class="empty">the sockets have not been read</p>`
          : mapSvg(connectionMap(chosen(snapshot, query), sockets, content.addresses))
      }
      <h2>Pods and their sockets</h2>
      ${await pods(content, query)}
      <h2>Container runtimes</h2>
      ${table(
        ['Runtime', 'Version', 'Endpoint', 'State'],
        [
          ...runtimes.map((one) => [one.name, one.version, one.endpoint, state(one.failure)]),
          ...failures.map((one) => ['', '', one.endpoint, state(one.reason)]),
        ],
        'none found',
      )}
      <h2>Collectors</h2>
      ${table(
        ['Collector', 'Result', 'Took', 'Series'],
        results.map(({ collector, durationSeconds, families }) => [
          collector,
          state(families === undefined ? 'failed: see the log' : undefined),
          `${(durationSeconds * 1_000).toFixed(1)} ms`,
          families?.reduce((sum, { size }) => sum + size, 0) ?? '',
        ]),
      )}`,
  })
}

/** The namespaces of the pods that the reader looks for. */
function chosen(snapshot: Snapshot, query: PageQuery): Snapshot {
  return { ...snapshot, namespaces: snapshot.namespaces.filter((one) => query.finds(searchText(one))) }
}

function searchText({ pod, containers, host }: NetworkNamespace): string {
  const names = containers.map(({ name }) => name)
  return [pod?.namespace ?? '', pod?.name ?? '', ...names, host ? 'the node itself' : ''].join(' ')
}

function pods({ snapshot, table: sockets }: PageContent, query: PageQuery): Promise<Html> {
  return pagedTable(query, {
    name: 'pods',
    headers: ['Namespace', 'Pod', 'Containers', ...shown.map((k) => statusNames[k] ?? ''), 'UDP'],
    items: (snapshot?.namespaces ?? []).toSorted(byPod),
    text: searchText,
    cells: (namespace) => {
      const states = sockets?.namespaces.get(namespace.inode)
      return [
        namespace.pod?.namespace ?? '',
        nameOf(namespace),
        namespace.containers.map(({ name }) => name).join(', '),
        ...shown.map((k) => (states === undefined ? '?' : inState(k, states))),
        states === undefined ? '?' : quiet(states.udp.sockets + states.udp6.sockets),
      ]
    },
    empty: 'no containers',
  })
}

/** The node itself first, as in the snapshot; pods by namespace and name. */
function byPod(a: NetworkNamespace, b: NetworkNamespace): number {
  const [first, second] = [a, b].map(({ host, pod }) =>
    host ? '' : `${pod?.namespace ?? ''}/${pod?.name ?? ''}`,
  )
  return (first ?? '') < (second ?? '') ? -1 : first === second ? 0 : 1
}

/** Sockets in a state; what tells of trouble stands out. */
function inState(state: number, { tcp, tcp6 }: NamespaceSockets): Html {
  const sockets = (tcp[state] ?? 0) + (tcp6[state] ?? 0)
  return sockets > 0 && state === tcpState.closeWait ? html`<b class="bad">${sockets}</b>` : quiet(sockets)
}

/** Zeros step back. */
function quiet(count: number): Html {
  return count === 0 ? html`<span class="muted">0</span>` : html`${count}`
}

function nameOf({ host, pod }: NetworkNamespace): string | Html {
  if (host) return html`<b>the node itself</b>`
  return pod?.name ?? html`<span class="muted">no pod</span>`
}

function state(failure: string | undefined): Html {
  return failure === undefined ? html`<span class="ok">ok</span>` : html`<span class="bad">${failure}</span>`
}
