/** The demo's terminal: lines while it sets up, then a table that is drawn in place. */
import type { SeenTarget } from './target-view.ts'

const escape = '\u001B['
const colours = { up: '32', down: '31', unknown: '33', muted: '2', bold: '1' } as const

/** Text in a colour; plain where the output is not a terminal. */
function paint(colour: keyof typeof colours, text: string): string {
  return process.stdout.isTTY && process.stderr.isTTY
    ? `${escape}${colours[colour]}m${text}${escape}0m`
    : text
}

/** Says on stderr what is being done, and, when it is done, how long it took. */
export async function step<T>(doing: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const live = process.stderr.isTTY
  if (live) process.stderr.write(`… ${doing}`)
  const result = await work()
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stderr.write(
    `${live ? `\r${escape}K` : ''}${paint('up', '✓')} ${doing} ${paint('muted', `(${seconds} s)`)}\n`,
  )
  return result
}

/** Something that people should know, such as what could not be had. */
export function note(text: string): void {
  console.error(`${paint('unknown', '!')} ${text}`)
}

export interface Screen {
  readonly title: string
  /** Terms and pages to open. */
  readonly links: readonly (readonly [string, string])[]
  readonly targets: readonly SeenTarget[]
  /** What happened in the cluster, the newest last. */
  readonly events: readonly string[]
  readonly nowMs: number
  /** Characters a line. */
  readonly columns: number
}

/** The whole screen as text, one target a line, cut to the terminal's width. */
export function renderScreen({ title, links, targets, events, nowMs, columns }: Screen): string {
  const header = ['JOB', 'CLUSTER', 'SHARD', 'TARGET', 'ADDRESS', 'HEALTH', 'SCRAPED']
  const rows = targets
    .toSorted((a, b) => a.job.localeCompare(b.job) || a.subject.localeCompare(b.subject))
    .map((target) => [
      target.job,
      target.cluster,
      target.shard,
      target.subject,
      target.url.replace(/^https?:\/\//, ''),
      target.health,
      target.scrapedAtMs === undefined
        ? '–'
        : `${Math.max(0, (nowMs - target.scrapedAtMs) / 1000).toFixed(1)} s ago`,
    ])
  const widths = header.map((cell, column) =>
    Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  // The address takes what the others leave, so that health and age stay in sight.
  const others = widths.reduce((sum, width, column) => sum + (column === 4 ? 2 : width + 2), 0)
  widths[4] = Math.max(12, Math.min(widths[4] ?? 0, columns - others - 1))
  const cell = (text: string, column: number): string => {
    const width = widths[column] ?? 0
    return (text.length > width ? `${text.slice(0, width - 1)}…` : text).padEnd(width)
  }
  const line = (row: readonly string[]): string => row.map(cell).join('  ')
  const up = targets.filter(({ health }) => health === 'up').length
  return [
    `${paint('bold', title)}  ${up} of ${targets.length} targets up`,
    ...links.map(([name, url]) => `  ${name.padEnd(12)} ${url}`),
    '',
    paint('bold', line(header)),
    ...rows.map((row) => {
      const health = row[5] as SeenTarget['health']
      return line(row).replace(cell(health, 5), paint(health, cell(health, 5)))
    }),
    '',
    ...events.map((event) => `  ${event}`),
    '',
    paint('muted', 'Ctrl-C ends the demo and everything that it started.'),
  ].join('\n')
}

/** Draws over the last drawing. */
export function draw(text: string): void {
  process.stdout.write(`${escape}H${text.replaceAll('\n', `${escape}K\n`)}${escape}K${escape}J`)
}

/** Switches to a screen of its own, which disposing gives back to what was there before. */
export function openScreen(): Disposable {
  process.stdout.write(`${escape}?1049h${escape}?25l${escape}2J`)
  return {
    [Symbol.dispose]: () => {
      process.stdout.write(`${escape}?25h${escape}?1049l`)
    },
  }
}
