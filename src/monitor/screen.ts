/** The part of a terminal that is written anew each time. */
import { fit } from './core/format.ts'

export class Screen implements Disposable {
  readonly #out: NodeJS.WriteStream
  #height = 0
  readonly #onResize = (): void => {
    // Lines that were broken anew cannot be counted any more.
    this.#out.write('\x1b[2J\x1b[H')
    this.#height = 0
  }

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
    out.on('resize', this.#onResize)
    out.write('\x1b[?25l')
  }

  /** @param lines gives the lines for a width, with less of long lists the smaller `rows` is */
  draw(lines: (width: number, rows: number) => readonly string[]): void {
    const { columns: width, rows: height } = this.#out
    const room = height - 1
    let shown: readonly string[] = []
    for (const rows of [10, 5, 3, 1, 0]) {
      shown = lines(width, rows)
      if (shown.length <= room) break
    }
    if (shown.length > room) {
      const missing = shown.length - room + 1
      shown = [...shown.slice(0, room - 1), fit(`… ${missing} more lines: a higher window shows them`, width)]
    }
    const up = this.#height === 0 ? '' : `\x1b[${this.#height}F`
    this.#out.write(`${up}${shown.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`)
    this.#height = shown.length
  }

  [Symbol.dispose](): void {
    this.#out.off('resize', this.#onResize)
    this.#out.write('\x1b[?25h')
  }
}
