import { html, table, type Html } from './html.ts'
import { TimeSlice } from './time-slice.ts'

/** Rows of a table on one page. */
export const rowsPerPage = 100
/** A longer text to look for is cut. */
const longestWords = 200

/** What the reader of a page chose by its address: `q`, the words to look for, and the page of each table by the table's name. */
export class PageQuery {
  /** Lower case. */
  readonly words: readonly string[]
  readonly #text: string
  readonly #parameters: URLSearchParams

  /** @param url path and query of the request */
  constructor(url: string) {
    this.#parameters = new URL(url, 'http://page').searchParams
    this.#text = (this.#parameters.get('q') ?? '').trim().slice(0, longestWords)
    this.words = this.#text.toLowerCase().split(/\s+/).filter(Boolean)
  }

  /** The page of a table, from 1; what is no number is 1. */
  pageOf(name: string): number {
    const page = Number(this.#parameters.get(name))
    return Number.isSafeInteger(page) && page > 0 ? page : 1
  }

  /** Whether all words occur in a text, whatever their case. */
  finds(text: string): boolean {
    if (this.words.length === 0) return true
    const lower = text.toLowerCase()
    return this.words.every((word) => lower.includes(word))
  }

  /** The form that looks for words in all tables of the page. */
  form(label: string): Html {
    return html`<form method="get" role="search">
      <label>${label} <input type="search" name="q" value="${this.#text}" /></label>
      <button>Filter</button>${this.#text === '' ? '' : html` <a href="?">all</a>`}
    </form>`
  }

  /** The address of another page of a table. */
  link(name: string, page: number): string {
    const parameters = new URLSearchParams(this.#text === '' ? {} : { q: this.#text })
    parameters.set(name, String(page))
    return `?${parameters.toString()}#${name}`
  }
}

/** A long table. */
export interface PagedTable<T> {
  /** Of the table, in the page's address: lower case letters. */
  readonly name: string
  readonly headers: readonly string[]
  readonly items: Iterable<T>
  /** Sorts those that were found, in place: they may be far fewer. @default as they are */
  readonly order?: (found: T[]) => void
  /** What an item is found by. */
  readonly text: (item: T) => string
  readonly cells: (item: T) => readonly (Html | string | number)[]
  /** Said when there is nothing. */
  readonly empty: string
}

const asTheyAre = (): void => undefined

/**
 * The rows that the reader looks for, {@link rowsPerPage} at a time. Only the rows of the page that is shown are made. Tens of
 * thousands of items take several turns of the event loop, in which items may come and go.
 */
export async function pagedTable<T>(
  query: PageQuery,
  { name, headers, items, order = asTheyAre, text, cells, empty }: PagedTable<T>,
): Promise<Html> {
  const found: T[] = []
  let all = 0
  const slice = new TimeSlice()
  for (const item of items) {
    all += 1
    if (query.words.length === 0 || query.finds(text(item))) found.push(item)
    if (slice.over) await slice.next()
  }
  order(found)
  const pages = Math.max(1, Math.ceil(found.length / rowsPerPage))
  const page = Math.min(query.pageOf(name), pages)
  const first = (page - 1) * rowsPerPage
  const shown = found.slice(first, first + rowsPerPage)
  const link = (to: number, label: string): Html =>
    to < 1 || to > pages ? html`` : html`<a href="${query.link(name, to)}">${label}</a>`
  const several = html`<nav class="pages" aria-label="${name}">
    ${link(page - 1, 'previous')} <span>${first + 1} to ${first + shown.length} of ${found.length}</span>
    ${link(page + 1, 'next')}
  </nav>`
  return html`<div id="${name}">
    ${table(headers, shown.map(cells), all > 0 ? 'nothing matches' : empty)}
    ${pages > 1 ? several : query.words.length > 0 ? html`<p class="muted">${found.length} of ${all}</p>` : ''}
  </div>`
}
