import { html, type Html } from '../common/html.ts'
import type { ConnectionMap, MapEdge, MapPeer, MapSource } from './core/connection-map.ts'

const width = 1000
const boxWidth = 330
const rowHeight = 26
const gap = 6
const headerHeight = 24
/** Letters of a box's label before it is cut. */
const longest = 40

/** A box, or the name of a namespace above its boxes. */
interface Placed<T> {
  readonly item: T
  readonly y: number
}

interface Layout {
  readonly sources: readonly Placed<MapSource>[]
  readonly namespaces: readonly Placed<string>[]
  readonly peers: readonly Placed<MapPeer>[]
  readonly height: number
}

/** The map as a picture that needs no script: pods on the left under their namespaces, what they talk to on the right. */
export function mapSvg(map: ConnectionMap): Html {
  if (map.sources.length === 0) return html`<p class="empty">no pods</p>`
  const layout = place(map)
  const { sources, namespaces, peers, height } = layout
  const hidden = [
    map.hidden.sources > 0 ? `${map.hidden.sources} pods or workloads` : '',
    map.hidden.peers > 0 ? `${map.hidden.peers} peers` : '',
  ].filter(Boolean)
  return html`<div class="scroll">
      <svg class="map" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="map-title">
        <title id="map-title">
          ${map.sources.length} pods or workloads of this node, ${map.peers.length} peers, ${map.edges.length} relations
        </title>
        ${drawnLast(map.edges).map((edge) => curve(edge, map, layout))}
        ${namespaces.map(({ item, y }) => html`<text class="group" x="0" y="${y + 17}">${item}</text>`)}
        ${sources.map(({ item, y }) => box(0, y, sourceLabel(item), inbound(item), item.closeWait > 0))}
        ${peers.map(({ item, y }) => peerBox(item, y))}
      </svg>
    </div>
    ${hidden.length > 0 ? html`<p class="muted">Not drawn: ${hidden.join(', ')}.</p>` : ''}`
}

function place({ sources, peers }: ConnectionMap): Layout {
  const placed: Placed<MapSource>[] = []
  const namespaces: Placed<string>[] = []
  let y = 0
  for (const [namespace, members] of Map.groupBy(sources, (source) => source.namespace)) {
    namespaces.push({ item: namespace === '' ? 'without a namespace' : namespace, y })
    y += headerHeight
    for (const item of members) {
      placed.push({ item, y })
      y += rowHeight + gap
    }
    y += gap
  }
  const height = Math.max(y, peers.length * (rowHeight + gap) + headerHeight)
  const step = peers.length === 0 ? 0 : (height - headerHeight) / peers.length
  return {
    sources: placed,
    namespaces,
    peers: peers.map((item, index) => ({ item, y: headerHeight + Math.round(index * step) })),
    height,
  }
}

function box(x: number, y: number, label: string, detail: string, bad: boolean): Html {
  return html`<g class="${bad ? 'box bad' : 'box'}">
    <title>${label} ${detail}</title>
    <rect x="${x + 1}" y="${y}" width="${boxWidth - 2}" height="${rowHeight}" rx="5" />
    <text x="${x + 10}" y="${y + 17}">${cut(label)}</text>
    <text class="detail" x="${x + boxWidth - 10}" y="${y + 17}" text-anchor="end">
      ${cut(detail, longest - Math.min(label.length, longest) + 7)}
    </text>
  </g>`
}

/** A pod is known by its name, all else by what it serves. */
function peerBox({ service, where, named }: MapPeer, y: number): Html {
  const [label, detail] = named ? [where, service] : [service, where]
  return box(width - boxWidth, y, label, detail, false)
}

function curve({ from, to, sockets, closeWait }: MapEdge, map: ConnectionMap, layout: Layout): Html {
  const middle = rowHeight / 2
  const [start, end] = [(layout.sources[from]?.y ?? 0) + middle, (layout.peers[to]?.y ?? 0) + middle]
  const [left, right] = [boxWidth, width - boxWidth]
  const bend = (right - left) / 2
  const source = map.sources[from]
  const peer = map.peers[to]
  const hanging = closeWait > 0 ? `, ${closeWait} in CLOSE_WAIT` : ''
  return html`<path
    class="${closeWait > 0 ? 'edge bad' : 'edge'}"
    stroke-width="${strokeWidth(sockets, map.edges.length)}"
    d="M${left} ${start}C${left + bend} ${start} ${right - bend} ${end} ${right} ${end}"
  >
    <title>
      ${source?.name} to ${peer?.service} (${peer?.where}): ${sockets} ${sockets === 1 ? 'socket' : 'sockets'}${hanging}
    </title>
  </path>`
}

/** Those that hang are drawn over the others. */
function drawnLast(edges: readonly MapEdge[]): readonly MapEdge[] {
  return [...edges].sort((a, b) => Math.min(a.closeWait, 1) - Math.min(b.closeWait, 1))
}

/** Grows with the logarithm of the sockets; where many curves cross, all are thinner. */
function strokeWidth(sockets: number, edges: number): string {
  const most = Math.max(1, Math.min(8, 320 / edges))
  return Math.min(most, 0.7 + (most / 8) * Math.log2(sockets)).toFixed(1)
}

function sourceLabel({ name, pods }: MapSource): string {
  return pods > 1 ? `${cut(name, longest - 6)} ×${pods}` : name
}

function inbound({ inbound: sockets, closeWait }: MapSource): string {
  const [hanging, opened] = [
    closeWait > 0 ? `${closeWait} CLOSE_WAIT` : '',
    sockets > 0 ? `${sockets} in` : '',
  ]
  return [hanging, opened].filter(Boolean).join(', ')
}

function cut(text: string, length = longest): string {
  return text.length > length ? `${text.slice(0, Math.max(1, length - 1))}…` : text
}
