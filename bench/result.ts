/** The shape of every benchmark's outcome, and how it is shown. */
import { cpus, totalmem } from 'node:os'

/** One figure: what was measured, on whom, and how much. */
export interface BenchRow {
  /** `ready`, `rss`, `wall` … */
  readonly what: string
  /** Who it was measured on: `podsonar registrar`, `nginx` … */
  readonly subject: string
  readonly value: number
  readonly unit: 'ms' | 's' | 'MiB' | 'services/s' | 'percent' | 'count' | 'ns' | 'bytes' | 'ratio'
}

/** What a benchmark measures. */
export interface BenchResult {
  readonly rows: readonly BenchRow[]
  /** By name. A ratio compares two things that were measured in turn in this run. */
  readonly ratios: Readonly<Record<string, number>>
}

/** A result and where it comes from: what `--json` prints, one line. */
export interface BenchReport extends BenchResult {
  readonly name: string
  readonly machine: string
  readonly node: string
  /** ISO 8601, UTC. */
  readonly date: string
}

export function reportOf(name: string, { rows, ratios }: BenchResult): BenchReport {
  const memory = Math.round(totalmem() / 2 ** 30)
  const processor = cpus()[0]?.model ?? 'unknown processor'
  const machine = `${cpus().length} × ${processor}, ${memory} GiB, ${process.platform} ${process.arch}`
  return { name, machine, node: process.version, date: new Date().toISOString(), rows, ratios }
}

/** A table for people. */
export function renderReport({ name, machine, node, date, rows, ratios }: BenchReport): string {
  const header = ['what', 'subject', 'value', 'unit']
  const cells = rows.map(({ what, subject, value, unit }) => [what, subject, formatNumber(value), unit])
  const ratioCells = Object.entries(ratios).map(([ratio, value]) => [ratio, '', formatNumber(value), ''])
  const widths = header.map((_title, column) =>
    Math.max(...[header, ...cells, ...ratioCells].map((row) => row[column]?.length ?? 0)),
  )
  const pad = (cell: string, column: number): string =>
    column === 2 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
  const line = (row: readonly string[]): string => row.map(pad).join('  ').trimEnd()
  const ratioLines = ratioCells.length === 0 ? [] : ['', 'ratios', ...ratioCells.map(line)]
  return [
    `${name}: ${machine}, Node ${node}, ${date}`,
    '',
    line(header),
    ...cells.map(line),
    ...ratioLines,
    '',
  ].join('\n')
}

/** Whole from 100 on, else with two places. */
export function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2)
}

/** The middle value; the mean of the two middle ones of an even number. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number): number => sorted[index] ?? Number.NaN
  const middle = sorted.length / 2
  return Number.isInteger(middle) ? (at(middle - 1) + at(middle)) / 2 : at(Math.floor(middle))
}
