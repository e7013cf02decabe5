import { facts, html, renderPage, type Html } from '../common/html.ts'
import { pagedTable, type PageQuery } from '../common/paged-table.ts'
import { version } from '../common/version.ts'
import type { NodeRecord } from '../kubernetes/records.ts'
import type { LastScrape } from './last-scrapes.ts'

export interface PageState {
  readonly nodes: readonly NodeRecord[]
  readonly lastScrape: (node: string) => LastScrape | undefined
  /** Why the proxy is not ready, by part. */
  readonly reasons: Readonly<Record<string, string>>
  /** What people should know although it is ready, by part: an API server that is away. */
  readonly notes: Readonly<Record<string, string>>
  readonly paths: readonly string[]
  readonly inFlight: number
  readonly nowMs: number
  readonly query: PageQuery
}

/** The page of the proxy: the nodes, when each was last scraped, and what last went wrong; failing nodes first. */
export async function proxyPage(state: PageState): Promise<string> {
  const { nodes, lastScrape, reasons, notes, paths, inFlight, nowMs, query } = state
  const age = (ms: number): string => `${Math.max(0, Math.round((nowMs - ms) / 1_000))} s ago`
  const hasFailed = ({ name }: NodeRecord): number => Number((lastScrape(name)?.code ?? 'ok') !== 'ok')
  const cells = (node: NodeRecord): (Html | string | number)[] => {
    const last = lastScrape(node.name)
    return [
      node.name,
      node.ready ? html`<span class="ok">ready</span>` : html`<span class="bad">not ready</span>`,
      node.internalIps.join(' '),
      node.kubeletPort,
      last === undefined ? html`<span class="muted">never</span>` : scraped(last, age),
      last?.error === undefined
        ? ''
        : html`<span class="bad">${withoutName(last.error.message, node.name)}</span> ${age(last.error.atMs)}`,
    ]
  }
  const problems = Object.entries(reasons)
  const body = html`
    ${
      problems.length === 0
        ? html`<p class="ok">Ready</p>`
        : html`<p class="bad">Not ready</p>
            ${facts(problems)}`
    }
    ${Object.entries(notes).map(([part, note]) => html`<p class="bad">${part}: ${note}</p>`)}
    ${facts([
      ['nodes', nodes.length],
      ['scrapes that run', inFlight],
      ['paths', paths.join(' ')],
    ])}
    <h2>Nodes</h2>
    ${query.form('Show nodes that contain')}
    ${await pagedTable(query, {
      name: 'nodes',
      headers: ['node', 'state', 'addresses', 'port', 'last scrape', 'last error'],
      // What somebody came for is on the first page.
      items: nodes.toSorted((a, b) => hasFailed(b) - hasFailed(a)),
      text: (node) => searchText(node, lastScrape(node.name)),
      cells,
      empty: 'no node is known',
    })}
  `
  return renderPage({ mode: 'proxy', version, body })
}

function scraped({ atMs, seconds, bytes, code }: LastScrape, age: (ms: number) => string): Html {
  const outcome = code === 'ok' ? html`<span class="ok">ok</span>` : html`<span class="bad">${code}</span>`
  return html`${outcome}, ${age(atMs)}, ${seconds.toFixed(3)} s, ${(bytes / 1_000).toFixed(1)} kB`
}

/** The name is in the row already. */
function withoutName(message: string, name: string): string {
  return message.startsWith(`${name} `) ? message.slice(name.length + 1) : message
}

function searchText({ name, internalIps, ready }: NodeRecord, last: LastScrape | undefined): string {
  const state = ready ? 'ready' : 'not ready'
  return [name, state, ...internalIps, last?.code ?? 'never', last?.error?.message ?? ''].join(' ')
}
