/** Where what is seen goes: a terminal's summary, lines of text, or lines of JSON. */
import type { ShownEvent } from './core/event-line.ts'
import type { MonitoredPod } from './core/pod.ts'
import { renderSummary, type Picture } from './core/render.ts'
import { totalsOf } from './core/totals.ts'
import { Screen } from './screen.ts'

export interface MonitorOutput extends Disposable {
  /** Whether it wants {@link refresh}. */
  readonly isRefreshing: boolean
  /** @param lines the pod in words */
  found(pod: MonitoredPod, lines: readonly string[]): void
  /** All is attached. */
  begin(): void
  /** Undefined where single events are not shown: they need not be made then. */
  readonly event: ((event: ShownEvent) => void) | undefined
  refresh(picture: Picture): void
  totals(picture: Picture): void
}

/** Paths and peers in the totals. */
const totalRows = 20
/** Columns of totals that are no terminal's. */
const plainWidth = 120

export class LinesOutput implements MonitorOutput {
  readonly isRefreshing = false
  readonly event = ({ line, json }: ShownEvent): void => {
    this.#write([line], json)
  }
  readonly #out: NodeJS.WritableStream
  readonly #kind: 'lines' | 'json'

  constructor(out: NodeJS.WritableStream, kind: 'lines' | 'json') {
    this.#out = out
    this.#kind = kind
  }

  found(pod: MonitoredPod, lines: readonly string[]): void {
    this.#write(lines, { type: 'pod', ...pod })
  }

  begin(): void {
    this.#write(['watching; Ctrl-C ends it and prints totals', ''], { type: 'begin' })
  }

  refresh(): void {
    // Lines stay as they are.
  }

  totals(picture: Picture): void {
    this.#write(['', 'totals', ...renderSummary(picture, plainWidth, totalRows)], totalsOf(picture))
  }

  [Symbol.dispose](): void {
    // The stream is not ours.
  }

  #write(lines: readonly string[], json: object): void {
    this.#out.write(
      this.#kind === 'json' ? `${JSON.stringify(json)}\n` : lines.map((line) => `${line}\n`).join(''),
    )
  }
}

export class SummaryOutput implements MonitorOutput {
  readonly isRefreshing = true
  readonly event = undefined
  readonly #out: NodeJS.WriteStream
  #screen: Screen | undefined

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  found(_pod: MonitoredPod, lines: readonly string[]): void {
    this.#out.write(lines.map((line) => `${line}\n`).join(''))
  }

  begin(): void {
    this.#out.write('watching; Ctrl-C ends it and prints totals\n\n')
    this.#screen = new Screen(this.#out)
  }

  refresh(picture: Picture): void {
    this.#screen?.draw((width, rows) => renderSummary(picture, width, rows))
  }

  totals(picture: Picture): void {
    this.#screen?.draw(() => ['totals'])
    this.#out.write(
      renderSummary(picture, this.#out.columns, totalRows)
        .map((line) => `${line}\n`)
        .join(''),
    )
  }

  [Symbol.dispose](): void {
    this.#screen?.[Symbol.dispose]()
  }
}
