/** A piece of HTML that is safe to embed as it is. Made only by {@link html}. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  toString(): string {
    return this.text
  }
}

type Embeddable = Html | string | number | boolean | undefined | null | readonly Embeddable[]

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Escapes text for element content and quoted attributes. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character)
}

function embed(value: Embeddable): string {
  if (value === undefined || value === null || value === false) return ''
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(embed).join('')
  return escapeHtml(String(value))
}

/** Tagged template: every embedded string is escaped, embedded {@link Html} is kept, lists are joined. */
export function html(parts: TemplateStringsArray, ...values: readonly Embeddable[]): Html {
  return new Html(parts.reduce((text, part, index) => text + embed(values[index - 1]) + part))
}

/** A table with a header row. An empty one says `empty` instead. */
export function table(
  headers: readonly string[],
  rows: readonly (readonly Embeddable[])[],
  empty = 'nothing yet',
): Html {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${headers.map((header) => html`<th scope="col">${header}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${cell}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`
}

const style = `:root{color-scheme:light dark;--line:#8884;--muted:#8a8a8a;--ok:#1a7f37;--bad:#c0352b;--accent:#2563a8}
@media(prefers-color-scheme:dark){:root{--ok:#4ac26b;--bad:#ff7b72;--accent:#79b8ff}}
body{font:15px/1.5 system-ui,sans-serif;max-width:80rem;margin:0 auto;padding:1.5rem}
header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap;border-bottom:1px solid var(--line);margin-bottom:1rem}
h1{font-size:1.4rem;margin:0 0 .5rem}h2{font-size:1.05rem;margin:1.6rem 0 .5rem}
header nav{margin-left:auto}nav{display:flex;gap:1rem}.pages{margin:.5rem 0;color:var(--muted)}form{margin:1rem 0}input,button{font:inherit;padding:.15rem .5rem}a{color:var(--accent)}
.scroll{overflow-x:auto}table{border-collapse:collapse;min-width:50%}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top;font-variant-numeric:tabular-nums}
th,td{white-space:nowrap}td:last-child{white-space:normal;min-width:8rem}th{font-weight:600;font-size:.82rem;color:var(--muted)}th::first-letter,dt::first-letter{text-transform:uppercase}.ok{color:var(--ok)}.bad{color:var(--bad)}.muted,.empty{color:var(--muted)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:0}dt{color:var(--muted)}dd{margin:0}
code{font:13px ui-monospace,monospace}
.map{display:block;font-size:12.5px;width:100%;min-width:44rem}.map text{fill:currentColor}.map .group{font-weight:600}.map .detail{fill:var(--muted)}
.map rect{fill:#8881;stroke:var(--line)}.map .bad rect{stroke:var(--bad)}.map .edge{fill:none;stroke:var(--accent);opacity:.45}
.map .edge.bad{stroke:var(--bad);opacity:.8}.map .edge:hover{opacity:1}`

export interface Page {
  /** `registrar`, `proxy` or `exporter`. */
  readonly mode: string
  readonly version: string
  readonly body: Html
}

/** The one page layout: no JavaScript, nothing fetched from elsewhere, light and dark. */
export function renderPage({ mode, version, body }: Page): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>podsonar ${mode}</title>
        <style>
          ${new Html(style)}
        </style>
      </head>
      <body>
        <header>
          <h1>podsonar <span class="muted">${mode}</span></h1>
          <span class="muted">${version}</span>
          <nav><a href="/metrics">metrics</a><a href="/readyz">ready</a><a href="/healthz">alive</a></nav>
        </header>
        ${body}
      </body>
    </html> `.text
}

/** A moment as people read it, to the second. */
export function moment(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** A term and its value a row. */
export function facts(entries: readonly (readonly [string, Embeddable])[]): Html {
  return html`<dl>
    ${entries.map(
      ([term, value]) =>
        html`<dt>${term}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`
}
